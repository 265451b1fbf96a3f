# Two images from one file. `web` has no PyTorch: web server and default worker.
# `gpu` adds it: workers that generate and train. On a machine without a GPU it runs on the CPU.
#
#   docker build --target web -t preference-arena .
#   docker build --target gpu -t preference-arena-gpu .

FROM python:3.11-slim AS ground
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN groupadd --gid 10001 arena \
    && useradd --uid 10001 --gid arena --create-home arena \
    && mkdir -p /data /home/arena/.cache/preference-arena \
    && chown -R arena:arena /data /home/arena
WORKDIR /app
# The packages first, against empty rooms, so that a change of our code installs nothing again.
COPY pyproject.toml constraints.txt README.md ./
RUN mkdir ranking gpu_workers arena annotation \
    && touch ranking/__init__.py gpu_workers/__init__.py arena/__init__.py annotation/__init__.py
ENV ARENA_DATA_DIR=/data DJANGO_SETTINGS_MODULE=arena.settings
VOLUME /data

FROM ground AS web
RUN pip install --constraint constraints.txt --editable .
COPY . .
USER arena
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=40s --retries=4 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:8000/healthz', headers={'Host': 'localhost'}), timeout=4)"]
CMD ["gunicorn", "arena.wsgi", "--bind", "0.0.0.0:8000", "--workers", "1", "--threads", "8", "--no-control-socket", "--worker-tmp-dir", "/dev/shm"]

FROM ground AS gpu
RUN pip install --constraint constraints.txt --editable '.[gpu]'
COPY . .
USER arena
CMD ["celery", "--app", "arena", "--quiet", "worker", "--queues", "generate,train", "--pool", "threads", "--concurrency", "1", "--include", "gpu_workers.tasks", "--loglevel", "INFO"]
