# PyTorch for aarch64 built from source, with oneDNN on the Arm Compute Library and OpenBLAS beside it.
#
#   docker buildx build --platform linux/arm64 -f .github/images/torch-acl.Dockerfile -t torch2.14.1_acl .
#
# Needs about 20 GB and some hours. TORCH_VERSION and ACL_VERSION are tags of their repositories.
FROM debian:bookworm-slim AS build

ARG TORCH_VERSION=2.14.1
ARG ACL_VERSION=v52.6.0
ARG MAX_JOBS=8

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates g++ git libopenblas-openmp-dev make ninja-build python3-dev python3-venv scons \
    && rm -rf /var/lib/apt/lists/*

# The Compute Library keeps oneDNN's layouts (fixed_format_kernels) and leaves threads to OpenMP.
RUN git clone --depth 1 --branch "${ACL_VERSION}" https://github.com/ARM-software/ComputeLibrary.git /acl
WORKDIR /acl
RUN scons -j"${MAX_JOBS}" Werror=0 debug=0 neon=1 opencl=0 embed_kernels=0 os=linux arch=armv8a build=native \
        multi_isa=1 fixed_format_kernels=1 openmp=1 cppthreads=0

RUN git clone --depth 1 --branch "v${TORCH_VERSION}" --recurse-submodules --shallow-submodules \
        https://github.com/pytorch/pytorch.git /pytorch
WORKDIR /pytorch
RUN python3 -m venv /opt/torch \
    && /opt/torch/bin/pip install --no-cache-dir --requirement requirements.txt wheel
ENV PATH=/opt/torch/bin:$PATH \
    USE_CUDA=0 \
    USE_MKLDNN=ON \
    USE_MKLDNN_ACL=ON \
    ACL_ROOT_DIR=/acl \
    ACL_INCLUDE_DIR=/acl/build \
    ACL_LIBRARY=/acl/build \
    BLAS=OpenBLAS \
    BUILD_TEST=0
ENV LD_LIBRARY_PATH=/acl/build
RUN PYTORCH_BUILD_VERSION="${TORCH_VERSION}" PYTORCH_BUILD_NUMBER=1 python setup.py bdist_wheel

FROM debian:bookworm-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 libopenblas0-openmp python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /acl/build/libarm_compute*.so /opt/acl/
COPY --from=build /pytorch/dist/*.whl /tmp/wheels/
RUN python3 -m venv /opt/torch \
    && /opt/torch/bin/pip install --no-cache-dir /tmp/wheels/*.whl numpy \
    && rm -rf /tmp/wheels
ENV PATH=/opt/torch/bin:$PATH \
    LD_LIBRARY_PATH=/opt/acl
CMD ["python", "-c", "import torch; print(torch.__config__.show())"]
