import Curl
import Testing

@testable import Platforms

@Suite struct EndpointTests {
    @Test(arguments: [
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://localhost:5000/", "http://localhost:5000"),
        ("HTTPS://MLflow.Example.org:443/team%20a/mlflow///", "https://mlflow.example.org/team%20a/mlflow"),
        ("http://h:80/p", "http://h/p"),
        ("https://h:80", "https://h:80"),
        ("http://[::1]:5000/x", "http://[::1]:5000/x"),
        ("http://user:secret@h/p/", "http://h/p"),
    ]) func keepsWhatMatters(_ uri: String, _ base: String) throws {
        #expect(try MLflowEndpoint(uri: uri).baseURL == base)
    }

    @Test(arguments: [
        "", "localhost:5000", "file:///mlruns", "sqlite:///mlflow.db", "databricks", "ftp://h", "http://", "http:///path", "http://h/a b",
        "http://h/?x=1", "http://h#x", "http://ü.org", "http://h/\n",
    ]) func refuses(_ uri: String) {
        #expect(throws: MLflowEndpoint.InvalidURI.self) { try MLflowEndpoint(uri: uri) }
    }

    @Test func takesCredentialsOutOfTheAddress() throws {
        let endpoint = try MLflowEndpoint(uri: "https://us%40er:pa%3Ass%2F@h:8443/p")
        #expect(endpoint.credentials == .basic(username: "us@er", password: "pa:ss/"))
        #expect(endpoint.baseURL == "https://h:8443/p")
        #expect(endpoint.name == "https://h:8443/p")
        #expect(endpoint.credentials.header() == HTTPHeader("Authorization", "Basic dXNAZXI6cGE6c3Mv"))
        for text in ["\(endpoint)", endpoint.name, String(reflecting: endpoint)] {
            #expect(!text.contains("pa:ss") && !text.contains("dXNAZXI6"), "\(text)")
        }
    }

    @Test func neverShowsASecret() {
        for uri in ["https://user:hunter2@h/?x", "user:hunter2@h", "ftp://user:hunter2@h", "https://user:hunter2%zz@h"] {
            do {
                _ = try MLflowEndpoint(uri: uri)
                Issue.record("\(uri) was taken")
            } catch {
                #expect(!error.description.contains("hunter2"), "\(error)")
            }
        }
        #expect(throws: MLflowEndpoint.InvalidURI.self) {
            try MLflowEndpoint(uri: "https://user:hunter2@h", credentials: .bearer(token: "t"))
        }
    }

    @Test func sendsTokenAndWorkspace() throws {
        let endpoint = try MLflowEndpoint(uri: "http://h", credentials: .bearer(token: "abc"), workspace: "team")
        #expect(endpoint.credentials.header() == HTTPHeader("Authorization", "Bearer abc"))
        #expect(endpoint.headers.contains { $0.name == "X-MLFLOW-WORKSPACE" && $0.value == "team" })
        #expect(endpoint.name == "http://h (workspace team)")
        #expect(try MLflowEndpoint(uri: "http://h").headers.count == 1)
    }

    private static let file = """
        [other]
        mlflow_tracking_username = no
        # comment
        [mlflow]
        MLFLOW_TRACKING_USERNAME = filed
        mlflow_tracking_password: pass = word
        """

    @Test(arguments: [
        ([:], nil, MLflowCredentials.none),
        (["MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"], nil, .basic(username: "u", password: "p")),
        (
            ["MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p", "MLFLOW_TRACKING_TOKEN": "t"], nil,
            .basic(username: "u", password: "p")
        ),
        (["MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_TOKEN": "t"], nil, .bearer(token: "t")),
        (["MLFLOW_TRACKING_TOKEN": "t"], file, .basic(username: "filed", password: "pass = word")),
        (["MLFLOW_TRACKING_PASSWORD": "p"], file, .basic(username: "filed", password: "p")),
        (["MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_TOKEN": ""], "[mlflow]", .none),
    ]) func credentialsAsMLflowFindsThem(_ variables: [String: String], _ file: String?, _ expected: MLflowCredentials) {
        #expect(MLflowEnvironment(variables, credentialsFile: file).credentials == expected)
    }

    @Test func requestTimeouts() {
        #expect(MLflowEnvironment(["MLFLOW_HTTP_REQUEST_TIMEOUT": "7.5"]).requestTimeout == 7.5)
        for text in ["0", "-1", "x", "inf"] { #expect(MLflowEnvironment(["MLFLOW_HTTP_REQUEST_TIMEOUT": text]).requestTimeout == nil) }
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func base64(_ text: String, _ expected: String) { #expect(Base64.encode(Array(text.utf8)) == expected) }

    @Test func percentEncoding() {
        let text = "a b/ü%20#+?&;'\"~-._=日"
        #expect(PercentEncoding.encodePath(text) == "a%20b/%C3%BC%2520%23%2B%3F%26%3B%27%22~-._%3D%E6%97%A5")
        #expect(PercentEncoding.decode(PercentEncoding.encode(text)) == text)
        for broken in ["%", "%2", "%zz", "%ff"] { #expect(PercentEncoding.decode(broken) == nil) }
    }
}

@Suite struct ArtifactPathTests {
    @Test(arguments: [
        "", "/etc/passwd", "..", "a/../b", "a/..", "../a", "a//b", "a/", "./a", "a/.", "C:\\x", "c:/x", "\\\\host\\share", "a\u{0}b",
        "a\nb",
        "a\\..\\b", "..\\x",
    ]) func refusesPathsThatLeadElsewhere(_ path: String) { #expect(ArtifactPath.fault(path) != nil) }

    @Test(arguments: [
        "a", "a b", "...", "a..b", ".hidden", "a\\b", "ü/日本/🦊", "C:x", "%2e%2e", "~", "con", String(repeating: "x", count: 255),
    ])
    func takesOthers(_ path: String) { #expect(ArtifactPath.fault(path) == nil) }

    @Test func wantsEntriesOfTheDirectory() {
        #expect(ArtifactPath.fault(ofEntry: "d/a", under: "d") == nil)
        #expect(ArtifactPath.fault(ofEntry: "a", under: "") == nil)
        for (entry, directory) in [("d", "d"), ("e/a", "d"), ("d/a/b", "d"), ("a/b", ""), ("da", "d"), ("d/../x", "d")] {
            #expect(ArtifactPath.fault(ofEntry: entry, under: directory) != nil, "\(entry) in \(directory)")
        }
    }

    @Test(arguments: [
        ("mlflow-artifacts:/1/r/artifacts", ArtifactRoute.proxy("1/r/artifacts")),
        ("mlflow-artifacts:///1/r/artifacts/", .proxy("1/r/artifacts")),
        ("mlflow-artifacts://H:5000/1/r", .proxy("1/r")),
        ("mlflow-artifacts://other:5000/1/r", .server),
        ("http://h:5000/api/2.0/mlflow-artifacts/artifacts/1/r", .proxy("1/r")),
        ("http://evil:5000/api/2.0/mlflow-artifacts/artifacts/1/r", .server),
        ("http://h:5000.evil/api/2.0/mlflow-artifacts/artifacts/1/r", .server),
        ("mlflow-artifacts:/../../etc", .server),
        ("mlflow-artifacts:/a%2e%2e/b", .server),
        ("s3://bucket/1/r/artifacts", .server),
        ("/var/lib/mlflow/1/r", .server),
        ("file:///etc", .server),
        ("", .server),
    ]) func reachesRootsThroughTheServerAlone(_ root: String, _ route: ArtifactRoute) throws {
        #expect(ArtifactRoute(root: root, endpoint: try MLflowEndpoint(uri: "http://h:5000")) == route)
    }
}
