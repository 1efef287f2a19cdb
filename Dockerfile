# A broker, and with arguments any of the commands:
#
#   docker build -t kafkalike .
#   docker run -e KAFKA_BROKER_ID=1 -e KAFKA_ZOOKEEPER_CONNECT=zookeeper:2181 -v data:/var/lib/kafkalike kafkalike
#   docker run --rm kafkalike kafka-topics.sh --list --bootstrap-server broker:9092
#
# Properties come from the environment as in Kafka's images: KAFKA_LOG_DIRS is log.dirs (image/entrypoint.py).
# The base is Debian 12 or later, or what descends from it. Nothing here needs BuildKit.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*

FROM python AS packages
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv
WORKDIR /opt/kafkalike
COPY requirements.txt .
RUN python3 -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or later is needed"' && \
    python3 -m venv .venv && \
    .venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt && \
    .venv/bin/pip uninstall -y pip setuptools

FROM python
RUN groupadd --gid 1000 kafkalike && \
    useradd --uid 1000 --gid 1000 --home-dir /var/lib/kafkalike --no-create-home --shell /usr/sbin/nologin kafkalike && \
    install -d -o kafkalike -g kafkalike /var/lib/kafkalike /run/kafkalike
WORKDIR /opt/kafkalike
COPY --from=packages /opt/kafkalike/.venv .venv
COPY . .
# As in config/server.properties, but on the volume. Whoever runs the broker cannot write beside the sources, so they
# are compiled here.
RUN install -d /etc/kafkalike && \
    sed 's,^log.dirs=.*,log.dirs=/var/lib/kafkalike/data,' config/server.properties > /etc/kafkalike/server.properties && \
    .venv/bin/python -m compileall -q kafkalike zk
ENV PATH=/opt/kafkalike/bin:$PATH \
    PYTHONPATH=/opt/kafkalike \
    PYTHONUNBUFFERED=1
USER kafkalike
VOLUME /var/lib/kafkalike
EXPOSE 9092
# A sign of life every ten seconds costs a fiftieth of a core.
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 CMD ["/opt/kafkalike/image/health.py"]
ENTRYPOINT ["/opt/kafkalike/image/entrypoint.py"]
