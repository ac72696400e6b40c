import Testing

@testable import mlmirror

@Suite("store addresses")
struct StoreURITests {
    private func uri(_ text: String) throws -> StoreURI { try StoreURI(text, .flag("--primary"), key: "primary.uri") }

    @Test(
        "have one spelling",
        arguments: [
            ("http://Host", "http://host"), ("HTTP://host:80/", "http://host"), ("https://host:443//", "https://host"),
            ("https://host:8443/ml/flow/", "https://host:8443/ml/flow"), ("http://[::1]:5000", "http://[::1]:5000"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"), ("http://u:p@host/x", "http://host/x"), ("http://u@host", "http://host"),
        ])
    func spelling(_ text: String, _ expected: String) throws { #expect(try uri(text).description == expected) }

    @Test("carry a user and password, decoded")
    func userinfo() throws {
        let uri = try uri("http://a%40b:p%3Aq%C3%A9@host:1")
        #expect(uri.user == "a@b")
        #expect(uri.password?.revealed == "p:qé")
        #expect(!"\(uri)".contains("p:q"))
        #expect(try self.uri("http://u:p@q@host").password?.revealed == "p@q", "the last @ ends it, as curl reads it")
    }

    @Test(
        "that cannot be are refused with what was expected",
        arguments: [
            ("", "no address; expected http://HOST[:PORT], https://HOST[:PORT], azureml://... or databricks"),
            ("localhost:5000", "no scheme; did you mean http://localhost:5000?"),
            ("host", "no scheme; expected http://HOST[:PORT], https://HOST[:PORT], azureml://... or databricks"),
            (
                "ftp://host",
                "unknown scheme ftp; known are http, https, azureml, databricks"
            ),
            ("databricks-uc", "databricks-uc is the address of a registry; name the workspace: databricks, or databricks://PROFILE"),
            ("databricks://scope:prefix", "expected databricks, or databricks://PROFILE with a profile of .databrickscfg"),
            (
                "https://adb-1.2.azuredatabricks.net/x",
                "expected https://adb-1.2.azuredatabricks.net alone: it is a workspace of Databricks"
            ),
            ("http://adb-1.2.azuredatabricks.net", "expected https://adb-1.2.azuredatabricks.net alone: it is a workspace of Databricks"),
            ("http://", "no valid host and port; expected http://HOST[:PORT], https://HOST[:PORT], azureml://... or databricks"),
            ("http://host:0", "no valid host and port; expected http://HOST[:PORT], https://HOST[:PORT], azureml://... or databricks"),
            ("http://host:99999", "no valid host and port; expected http://HOST[:PORT], https://HOST[:PORT], azureml://... or databricks"),
            ("http://host:", "no valid host and port; expected http://HOST[:PORT], https://HOST[:PORT], azureml://... or databricks"),
            (
                "http://ho st",
                "the address holds a space, a control character or a letter outside ASCII; "
                    + "expected http://HOST[:PORT], https://HOST[:PORT], azureml://... or databricks"
            ),
            (
                "http://host?a=b",
                "an address has no ? and no #; expected http://HOST[:PORT], https://HOST[:PORT], azureml://... or databricks"
            ),
            (
                "https://adb-1.2.azuredatabricks.net/?o=12",
                "expected https://adb-1.2.azuredatabricks.net alone; where several workspaces share it, set DATABRICKS_WORKSPACE_ID to what "
                    + "follows ?o="
            ),
            ("http://u:%zz@host", "the user name or password in the address is not percent-encoded as it must be"),
        ])
    func refuses(_ text: String, _ message: String) {
        let error = #expect(throws: ConfigurationError.self) { try uri(text) }
        #expect(error?.description == "--primary: " + message)
    }

    @Test(
        "that are refused never repeat a password",
        arguments: ["x://u:shibboleth@h", "u:shibboleth@h:1", "http://u:shibboleth@h:x", "http://u:shibboleth@h?q"])
    func hidesPasswords(_ text: String) {
        let error = #expect(throws: ConfigurationError.self) { try uri(text) }
        #expect(error?.description.contains("shibboleth") == false)
    }
}
