"""Animation to files, one module per format; `registry` knows them all."""
