# One image for worker, web application, Prefect server and commands; compose.yaml says what runs together.
#   docker build --tag alongside .
# Nothing secret belongs into it: credentials come from the environment and from mounted secrets.
FROM python:3.11-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY alongside alongside
COPY flows flows
COPY tasks tasks
COPY config config
COPY templates templates
COPY expectations expectations
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.11-slim
# git: every run keeps the commit of the configuration that it ran on; Pango and a font: letters are printed as PDF
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      git libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk fontconfig \
 && rm -rf /var/lib/apt/lists/* \
 && git config --system --add safe.directory /srv/hospital
COPY requirements.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes --requirement /tmp/requirements.lock
COPY --from=wheel /wheel/ /tmp/wheel/
RUN pip install --no-cache-dir --no-deps /tmp/wheel/*.whl && rm -r /tmp/wheel
RUN useradd --system --uid 10001 --no-create-home --home-dir /var/lib/alongside alongside \
 && install --directory --owner alongside --mode 0700 /var/lib/alongside
# /srv/hospital: the hospital's own configuration ('alongside init'), mounted; /var/lib/alongside: what runs write
ENV ALONGSIDE_HOME=/srv/hospital \
    ALONGSIDE_VAR=/var/lib/alongside \
    PREFECT_HOME=/var/lib/alongside/prefect \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-ui \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/alongside
VOLUME /var/lib/alongside
CMD ["alongside", "--help"]
