"""report.html: one page that says what a corpus is made of and what became of every document.

Self-contained (no script, no font, no link to anywhere), in Korean and English side by side.
"""
