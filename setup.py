"""Package description of dim_tf; tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
EXPORT = ["onnx>=1.17", "onnxruntime>=1.20", "tf2onnx>=1.17"]
RETRIEVE = ["bm25s>=0.3.16", "milvus-lite>=3.2.2", "pymilvus>=3.0.2"]
JAX = ["jax>=0.4.35"]
SERVE = ["fastapi>=0.165", "fastapi-offline>=1.7.7", "prometheus-client>=0.26", "uvicorn>=0.54"]
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "dim_tf/__init__.py").read_text("utf-8"))[1]

setup(
    name="dim_tf",
    version=VERSION,
    description="Dually Interactive Matching network (Gu et al., EMNLP 2019) in Keras 3",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author="the dim_tf authors",
    license="MIT",
    keywords="response selection, dialogue, persona, retrieval-based chatbot, keras",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: MIT License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing :: Linguistic",
    ],
    python_requires=">=3.11,<3.14",  # the versions that TensorFlow is released for
    packages=find_packages(include=["dim_tf", "dim_tf.*", "data_prep", "data_prep.*"]),
    package_data={
        "data_prep": ["sample.tar.xz"],
        "dim_tf": ["*/templates/*.j2", "service/static/*", "paper/*.toml", "py.typed"],
    },
    install_requires=[
        "tensorflow>=2.18",
        "keras>=3.14",
        "numpy>=1.26",
        "optree>=0.14",
        "h5py>=3.11",
        "nltk>=3.9.1",
        "gensim>=4.3.3",
        "tensorboard>=2.18",
        "matplotlib>=3.8",
        "scipy>=1.11",
        "jinja2>=3.1",
        "pydantic>=2.8",
        "tqdm>=4.66",
        "typing-extensions>=4.12",
        "filelock>=3.13",
    ],
    extras_require={
        "export": EXPORT,
        "jax": JAX,
        "retrieve": RETRIEVE,
        "serve": SERVE,
        "test": [
            *EXPORT,
            *JAX,
            *RETRIEVE,
            *SERVE,
            "httpx2>=2.16",  # of FastAPI's test client
            "faiss-cpu>=1.7.4",  # the yardstick of benchmarks/retrieval.py
            "hypothesis>=6.100",
            "import-linter>=2.1",
            "mypy>=1.15",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "scikit-learn>=1.4",
            "selenium>=4.51",
        ],
    },
    entry_points={"console_scripts": ["dim-tf = dim_tf.cli.dispatch:main"]},
)
