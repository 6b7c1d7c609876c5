"""Images: fetched, verified, standardised and warped; and the random generators behind them."""
