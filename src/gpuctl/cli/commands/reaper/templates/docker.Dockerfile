# gpuctl's reaper: one run of `gpuctl reap` on the database in GPUCTL_STATE. For Kubernetes, Cloud Run jobs, or any scheduler.
#
#   pip wheel --no-deps --wheel-dir . PATH-OF-A-CLONE-OF-GPUCTL      writes gpuctl_cloud-VERSION-py3-none-any.whl
#   gpuctl reaper template docker > Dockerfile
#   docker build -t gpuctl-reaper .
#   docker run --rm --read-only --tmpfs /tmp -e GPUCTL_STATE -e PGPASSWORD gpuctl-reaper
FROM python:3.13-slim

COPY gpuctl_cloud-*.whl /wheels/
RUN pip install --no-cache-dir "$(ls /wheels/gpuctl_cloud-*.whl)[aws,azure,gcp,postgres]" && rm -r /wheels

# No shell, no home: only /tmp is written to.
USER 65532:65532
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "-m", "gpuctl.function"]
