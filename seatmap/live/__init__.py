"""SHOWS: Redis → feed → replica → hub → screens. One replica per watched event; a screen is a cursor on it."""
