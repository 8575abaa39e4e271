"""Pictures of real faces (tars, folders, videos) -> a shard set of aligned crops for training.

python recipes/prepare_faces.py a.tar b.tar --out data/faces/fairface \\
    --labels labels.csv --teachers folder/with/teachers

The same as `freeavatar data faces`. Stopped runs go on where they were. Look at sheet.png in the
output folder before training.
"""

from __future__ import annotations

import sys

from freeavatar.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["data", "faces", *sys.argv[1:]]))
