"""The list of systems."""

import subprocess
import sys
from pathlib import Path

import pytest

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.errors import ConfigError
from dim_tf.systems import registry

ROOT = Path(__file__).parents[3]


def test_importing_it_imports_no_keras():
    code = "import sys, dim_tf.systems.registry; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_base_is_a_system_that_reads_no_persona():
    bases = {system.base for system in registry.SYSTEMS.values() if system.base}
    assert not any(registry.get(base).reads_persona for base in bases)


OTHER = registry.System("other", builder="mine:Model")  # any other Keras model


@pytest.mark.parametrize(
    "system", [*map(registry.get, ("ir", "starspace", "transformer")), OTHER], ids=lambda s: s.name
)
def test_a_system_without_the_encoder_refuses_to_scale_it(system):
    with pytest.raises(ConfigError, match="input_scale"):
        system.check(ModelConfig(char_vocab_size=1), TrainingConfig(input_scale=2.0))
