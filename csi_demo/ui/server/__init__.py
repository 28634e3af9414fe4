"""Between the network and the page: what may be sent, what is kept and for how long, and where it runs."""
