"""The pages for browsers: plain HTML in Korean and English, one module a subject, each with its routes."""
