"""A headless Chromium with the status page in it."""

import json
import os
import shutil

from selenium.webdriver import ChromeOptions, Remote
from selenium.webdriver.chromium.remote_connection import ChromiumRemoteConnection

import harness

PROGRAMS = ("chromium", "chromedriver")


class Browser:
    """Driven by ChromeDriver, which chooses its own port. Everything that Chromium says on its
    console and asks of the network is kept for complaints() and requests()."""

    def __init__(self):
        for name in PROGRAMS:
            assert shutil.which(name), f"{name} is not installed: `./run test` installs it"
        self.process = harness.Process([shutil.which("chromedriver"), "--port=0"])
        port = self.process.out.wait_for(r"started successfully on port (\d+)")[0][1]
        self.driver = Remote(ChromiumRemoteConnection(
            f"http://127.0.0.1:{port}", vendor_prefix="goog", browser_name="chrome"),
                             options=self._options())
        self.driver.set_script_timeout(harness.PATIENCE)

    @staticmethod
    def _options():
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ("headless=new", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars",
                         "disable-background-networking", "no-first-run"):
            options.add_argument(f"--{argument}")
        if os.geteuid() == 0:  # Chromium's sandbox is not for root
            options.add_argument("--no-sandbox")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        return options

    def quit(self):
        try:
            self.driver.quit()
        finally:
            self.process.kill()

    def devtools(self, command, **parameters):
        return self.driver.execute(
            "executeCdpCommand", {"cmd": command, "params": parameters})["value"]

    def run(self, script, *arguments):
        """What a script returns that runs in the page: it sees the names of the page's own."""
        return self.driver.execute_script(script, *arguments)

    def show(self, address, path="/", width=1280, height=900, scheme="light"):
        """Opens a page anew, as it is shown to who prefers that colour scheme."""
        self.driver.get("about:blank")
        self.complaints()
        self.requests()
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}])
        self._size(width, height)
        self.driver.get(f"http://{address}{path}")

    def _size(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=False)

    def complaints(self):
        """What has come on the console since the last time: errors, and what a policy forbade."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self):
        """The addresses that were asked for since the last time."""
        events = [json.loads(entry["message"])["message"]
                  for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events
                if event["method"] == "Network.requestWillBeSent"]

    def text(self, ident):
        """What an element shows."""
        return self.run("return document.getElementById(arguments[0]).innerText", ident)

    def rows(self, ident):
        """The texts of a table's cells, by what the first of their row says."""
        rows = self.run("""
            return [...document.getElementById(arguments[0]).rows].map(
                (row) => [...row.cells].map((cell) => cell.innerText));""", ident)
        return {row[0]: row[1:] for row in rows}

    def picture(self, path):
        """Keeps a picture of the whole page, as wide as it is shown."""
        width, height = self.run(
            "return [innerWidth, document.documentElement.scrollHeight]")
        self._size(width, height)
        self.driver.save_screenshot(str(path))
