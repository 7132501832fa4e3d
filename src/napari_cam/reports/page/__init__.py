"""Reports as people see them: tables, figures, pictures, an HTML page and files in a folder."""
