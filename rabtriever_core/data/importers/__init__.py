"""From what people have to a data set in BEIR layout: one module per family of layouts.

`sources.read_source` finds out what a source is and reads it into examples; `assembly.assemble`
gives them ids and splits; `writing.write_imported` writes the folder.
"""
