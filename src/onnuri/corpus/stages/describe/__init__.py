"""describe: language, register and make-up of each document."""
