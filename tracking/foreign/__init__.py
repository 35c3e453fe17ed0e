"""Result files of evaluation tools as runs: one module a tool, with `recognises(content)` and `read(...)`.

Each task of a file is a run: what was asked for are its params, what the file tells of machine and libraries its environment,
and where samples were logged, what became of each of them. What a tool did not write down is not recorded.
"""
