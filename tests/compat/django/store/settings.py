import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent

SECRET_KEY = "for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "store"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(HERE / "store.sqlite3"),
        "TEST": {"NAME": str(HERE / "test_store.sqlite3")},
    }
}
ROOT_URLCONF = "store.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
