"""The command line: texts are read, the Python API computes, tables and files come out."""
