# hptransfer with its reference language model:
#   docker build -t hptransfer .
#   docker run --rm -v "$PWD:/work" hptransfer fit runs.csv --target 4096
# PyTorch brings CUDA's libraries with it, some gigabytes, and uses a GPU where the container is given one. For its
# build without them: --build-arg PIP_EXTRA_INDEX_URL=URL with PyTorch's own index of CPU builds.
# --build-arg EXTRAS= makes a small image, which fits, plans and reports but trains no model.
FROM python:3.12-slim

# A compiler, by which torch.compile makes a training step fast: the one of the image's release, whatever its patch level.
ARG EXTRAS=[lm]
# hadolint ignore=DL3008
RUN if [ -n "$EXTRAS" ]; then apt-get update && apt-get install -y --no-install-recommends g++; fi \
 && rm -rf /var/lib/apt/lists/*

COPY pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md /src/
COPY src /src/src
# pip reads its index from the environment.
ARG PIP_EXTRA_INDEX_URL=
RUN pip install --no-cache-dir -c /src/constraints.txt "/src${EXTRAS}" && hptransfer --version

WORKDIR /work
ENTRYPOINT ["hptransfer"]
CMD ["--help"]
