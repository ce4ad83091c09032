# A vendor's toolchain, on the x86_64 image: that one has all else that a build needs. Classic builder only.
ARG BASE
FROM ${BASE}

# tar finds the compression itself. Archives of vendors can be readable for their maker alone; a build runs as anybody.
ARG STRIP
COPY toolchain.tar /bc/
RUN mkdir /opt/toolchain \
 && tar -xf /bc/toolchain.tar --no-same-owner --strip-components="${STRIP}" -C /opt/toolchain \
 && chmod -R a+rX /opt/toolchain \
 && rm /bc/toolchain.tar

# Only for what is there: a link without its compiler would give ccache's error instead of ours.
ARG TRIPLE
RUN for tool in gcc g++ cc c++; do \
        if [ -x "/opt/toolchain/bin/${TRIPLE}-${tool}" ]; then \
            ln -sf ../../bin/ccache "/usr/lib/ccache/${TRIPLE}-${tool}"; \
        fi; \
    done

# A vendor's gcc is often a small wrapper: its size and date, by which ccache tells compilers apart, can stay the same
# from one release to the next.
ARG SHA256
ENV CCACHE_COMPILERCHECK=string:${SHA256}
