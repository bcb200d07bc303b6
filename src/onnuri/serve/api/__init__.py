"""Requests and answers of each route."""
