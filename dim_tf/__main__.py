"""`python -m dim_tf` is `dim-tf`."""

import sys

from dim_tf.cli.dispatch import main

if __name__ == "__main__":
    sys.exit(main())
