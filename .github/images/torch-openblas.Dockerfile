# PyTorch for aarch64 built from source, with OpenBLAS and without the Arm Compute Library.
#
#   docker buildx build --platform linux/arm64 -f .github/images/torch-openblas.Dockerfile -t torch2.14.1_openblas .
#
# Needs about 20 GB and some hours. TORCH_VERSION is a tag of PyTorch's repository.
FROM debian:bookworm-slim AS build

ARG TORCH_VERSION=2.14.1

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates g++ git libopenblas-openmp-dev make ninja-build python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

RUN git clone --depth 1 --branch "v${TORCH_VERSION}" --recurse-submodules --shallow-submodules \
        https://github.com/pytorch/pytorch.git /pytorch
WORKDIR /pytorch
RUN python3 -m venv /opt/torch \
    && /opt/torch/bin/pip install --no-cache-dir --requirement requirements.txt wheel
# oneDNN stays, with its own kernels: what differs from the other image is the Compute Library alone.
ENV PATH=/opt/torch/bin:$PATH \
    USE_CUDA=0 \
    USE_MKLDNN=ON \
    USE_MKLDNN_ACL=OFF \
    BLAS=OpenBLAS \
    BUILD_TEST=0
RUN PYTORCH_BUILD_VERSION="${TORCH_VERSION}" PYTORCH_BUILD_NUMBER=1 python setup.py bdist_wheel

FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 libopenblas0-openmp python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /pytorch/dist/*.whl /tmp/wheels/
RUN python3 -m venv /opt/torch \
    && /opt/torch/bin/pip install --no-cache-dir /tmp/wheels/*.whl numpy \
    && rm -rf /tmp/wheels
ENV PATH=/opt/torch/bin:$PATH
CMD ["python", "-c", "import torch; print(torch.__config__.show())"]
