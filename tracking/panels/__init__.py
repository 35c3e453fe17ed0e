"""Panels that run inside other tools' pages: each file is pasted there whole, so it imports nothing of this project.

They show what records hold: audits and explanations were made by `weighbridge` and are kept in records; none is made here.
"""
