"""Load tests and measurements of a running Seatmap, through its public interface. Nothing here is shipped."""
