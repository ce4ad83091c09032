# What fetching, reading and comparing need beside Python: so no workstation has to have it. Classic builder only.
ARG BASE
FROM ${BASE}

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    abigail-tools ca-certificates git squashfs-tools xz-utils zstd \
 && rm -rf /var/lib/apt/lists/*
