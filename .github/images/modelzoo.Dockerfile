# The four workloads of the suite `yitian`, for aarch64 and x86-64: running the image prints their [TARGET] lines.
#
#   docker buildx build --platform linux/arm64,linux/amd64 -f .github/images/modelzoo.Dockerfile -t modelzoo .
#   docker run --rm modelzoo
#   docker run --rm modelzoo --modes eager,eager_bf16
#
# By default torch comes from PyPI. On an image of torch-acl or torch-openblas:
#
#   docker buildx build --platform linux/arm64 --build-arg BASE=torch2.14.1_acl --build-arg TORCH= \
#       -f .github/images/modelzoo.Dockerfile -t torch2.14.1_acl_modelzoo .
ARG BASE=debian:bookworm-slim
# hadolint ignore=DL3006
FROM ${BASE}

# Without a value, the torch of the base image is kept.
ARG TORCH="torch==2.14.1 torchvision==0.29.1"

RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ libgomp1 python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/torchwarden
COPY . .
# --system-site-packages of the base's environment would hide its torch: the base's interpreter is used where there is one.
RUN if [ ! -x /opt/torch/bin/python ]; then python3 -m venv /opt/torch; fi \
    && if [ -n "${TORCH}" ]; then \
        /opt/torch/bin/pip install --no-cache-dir ${TORCH} --extra-index-url https://download.pytorch.org/whl/cpu; \
    else \
        /opt/torch/bin/pip install --no-cache-dir --no-deps "torchvision==0.29.1" pillow; \
    fi \
    && /opt/torch/bin/pip install --no-cache-dir . transformers
ENV PATH=/opt/torch/bin:$PATH \
    HF_HUB_OFFLINE=1
WORKDIR /results
ENTRYPOINT ["torchwarden", "run", "--suite", "yitian", "--type", "eval", "--size", "full", "--target-lines", "--out", "run.jsonl"]
