# hptransfer with its reference language model, for the CPU:
#   docker build -t hptransfer .
#   docker run --rm -v "$PWD:/work" hptransfer fit runs.csv --target 4096
# For a GPU, build FROM an image that has CUDA and a PyTorch for it. EXTRAS= makes a small image without PyTorch.
FROM python:3.12-slim

# A compiler, by which torch.compile makes a training step fast.
# hadolint ignore=DL3008 -- the compiler of the image's own release, whatever its patch level
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*

ARG EXTRAS=[lm]
COPY pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md /src/
COPY src /src/src
RUN pip install --no-cache-dir -c /src/constraints.txt "/src${EXTRAS}" && hptransfer --version

WORKDIR /work
ENTRYPOINT ["hptransfer"]
CMD ["--help"]
