"""Draw the training pictures: many people, random and real expressions, exact truth.

    python recipes/render_actors.py --out data/renders/actors --num 60000 \\
        --extra-avatars data/heads --backgrounds data/faces/fairface --teachers COMPONENTS
    python recipes/render_actors.py --out data/renders/views --num 40000 --seed 7 --views 2 \\
        --extra-avatars data/heads --backgrounds data/faces/fairface --teachers COMPONENTS
    python recipes/render_actors.py --out data/renders/takes --num 18000 --seed 12 --takes 1 \\
        --extra-avatars data/heads --backgrounds data/faces/fairface --teachers COMPONENTS
    python recipes/render_actors.py --out data/renders/sessions --num 30000 --seed 9 --session 24 \\
        --occluded 0.1 --camera-damage 0.1 --extra-avatars data/heads \\
        --backgrounds data/faces/fairface
    python recipes/render_actors.py --out data/renders/rare --num 30000 --seed 2 --rare 0.7 \\
        --num-identities 120 --extra-avatars data/heads data/heads-b \\
        --backgrounds data/faces/fairface --teachers COMPONENTS --part-size 500
    python recipes/render_actors.py --out data/renders/judges --num 3000 --people held-out
    python recipes/render_actors.py --out data/renders/judges-turned --num 900 --people held-out \\
        --turned-deg 45

The same as `freeavatar data renders`, with the data beside the project.

Data      VALID people (.glb), ICT-FaceKit (.npz), takes (.csv), the bundled avatars, and heads of
          build_heads.py: --actors 32 --seed 0 --out data/heads, --seed 1 --out data/heads-b
Time      about 15 ms a picture and core; 60,000 pictures on two cores in 10-15 minutes
Memory    about 2 GB, shared by all processes
Writes    OUT/part-*/ and OUT/sheet.png: look at it. A stopped run goes on where it was.
"""

from __future__ import annotations

import sys

from freeavatar.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["data", "renders", "--data", "../shared/data", *sys.argv[1:]]))
