"""The interface of petrel_client's Client over a folder (given as its conf_path)."""

from pathlib import Path


class Client:
    def __init__(self, conf_path=None, enable_mc=True):
        self.folder = Path(conf_path)
        self.enable_mc = enable_mc

    def _file(self, url):
        assert "s3://" in url, url
        return self.folder / url.replace("://", "/")

    def Get(self, url):
        file = self._file(url)
        return memoryview(file.read_bytes()) if file.is_file() else None

    def put(self, url, content):
        self._file(url).parent.mkdir(parents=True, exist_ok=True)
        self._file(url).write_bytes(content)

    def contains(self, url):
        return self._file(url).is_file()

    def isdir(self, url):
        return self._file(url).is_dir()

    def list(self, url):
        for entry in self._file(url).iterdir():
            yield entry.name + "/" if entry.is_dir() else entry.name

    def delete(self, url):
        file = self._file(url)
        file.unlink()
        for folder in file.parents:  # a storage of objects has no empty directories
            if folder == self.folder or any(folder.iterdir()):
                break
            folder.rmdir()

    def generate_presigned_url(self, url, client_method="get_object", expires_in=3600):
        return f"{url}?{client_method}&{expires_in}"
