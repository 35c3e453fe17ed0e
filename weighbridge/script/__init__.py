"""What people call from their own training and evaluation scripts; `import weighbridge` gives it.

Conditions of the running process, runs that a script makes, audits as values that notebooks show. It imports no framework
and nothing of the pipeline (`stages`, DVC); trackers and frameworks are seen through `sys.modules` only.
"""
