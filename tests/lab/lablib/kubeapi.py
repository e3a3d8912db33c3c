"""A small client for a control plane's API: one request, one answer, with a user's certificate."""
import http.client
import json
import ssl
from urllib.parse import urlsplit

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Api:
    def __init__(self, server, ca, crt, key, timeout=30):
        parts = urlsplit(server)
        self.address = parts.hostname, parts.port
        self.timeout = timeout
        self.tls = ssl.create_default_context(cafile=str(ca))
        # A user without a certificate is anonymous.
        if crt:
            self.tls.load_cert_chain(str(crt), str(key))

    def request(self, method, path, body=None, kind=None):
        """Returns the status code and the body as text. What is not an answer raises OSError or
        http.client.HTTPException. A new connection each time: the server may have been stopped."""
        connection = http.client.HTTPSConnection(*self.address, timeout=self.timeout, context=self.tls)
        try:
            headers = {"Accept": "application/json"}
            if body is not None:
                if not isinstance(body, str):
                    body = json.dumps(body)
                body = body.encode()
                headers["Content-Type"] = kind or (STRATEGIC if method == "PATCH" else "application/json")
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def json(self, method, path, body=None, kind=None):
        status, text = self.request(method, path, body, kind)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, {"message": text}
