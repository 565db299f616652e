"""Ways to pay, each behind the same small interface (`seatmap.checkout.payment.Provider`)."""
