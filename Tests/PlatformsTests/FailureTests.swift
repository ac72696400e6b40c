import Curl
import Replication
import Testing

@testable import Platforms

@Suite struct FailureTests {
    private let failure = MLflowFailure(store: "http://h", now: { 784_111_777 })
    private let read = MLflowCall.get("/api/2.0/mlflow/runs/get", [("run_id", "r")], of: "run r")
    private let write = MLflowCall(method: .post, path: "/api/2.0/mlflow/runs/create", subject: "creating a run", isWrite: true)
    private let output = MLflowCall(
        method: .post, path: "/api/2.0/mlflow/runs/outputs", subject: "outputs", isWrite: true, duplicate: .exists)

    private static func json(_ code: String, _ message: String = "m") -> String {
        "{\"error_code\":\"\(code)\",\"message\":\"\(message)\"}"
    }

    @Test(arguments: [
        (400, json("INVALID_PARAMETER_VALUE"), StoreError.Decision.setAside, StoreError.Reason.invalid, false),
        (400, json("RESOURCE_ALREADY_EXISTS"), .setAside, .alreadyExists, false),
        (400, json("RESOURCE_DOES_NOT_EXIST"), .setAside, .notFound, false),
        (
            400, json("BAD_REQUEST", "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.name"), .retry(after: nil),
            .serverFailure, false
        ),
        (400, json("BAD_REQUEST", "duplicate key value violates unique constraint"), .retry(after: nil), .serverFailure, false),
        (400, "no JSON", .setAside, .invalid, false),
        (401, "unauthorized", .stop, .unauthorized, false),
        (403, json("PERMISSION_DENIED"), .setAside, .forbidden, false),
        // Of no thing, but of where it is asked from; the code is a number.
        (
            403,
            #"{"error_code":403,"message":"Source IP address: 203.0.113.7 is blocked by Databricks IP ACL for workspace: 1234567890123456"}"#,
            .retry(after: nil), .unreachable, false
        ),
        (403, json("403", "Unauthorized network access to workspace: 1234567890123456"), .retry(after: nil), .unreachable, false),
        (404, json("RESOURCE_DOES_NOT_EXIST"), .setAside, .notFound, false),
        (404, json("ENDPOINT_NOT_FOUND"), .setAside, .unsupported, false),
        (404, "<!doctype html><title>404 Not Found</title>", .setAside, .unsupported, false),
        (404, "{\"detail\":\"Not Found\"}", .setAside, .unsupported, false),
        (405, "", .setAside, .unsupported, false),
        (408, "", .retry(after: nil), .serverFailure, true),
        (409, json("ABORTED"), .retry(after: nil), .serverFailure, false),
        (409, json("ALREADY_EXISTS"), .setAside, .alreadyExists, false),
        (413, "", .setAside, .tooLarge, false),
        (429, json("REQUEST_LIMIT_EXCEEDED"), .retry(after: nil), .throttled, false),
        (500, json("INTERNAL_ERROR"), .retry(after: nil), .serverFailure, true),
        (500, json("INVALID_STATE"), .setAside, .invalid, false),
        (500, json("FEATURE_DISABLED"), .stop, .unsupported, false),
        (501, json("NOT_IMPLEMENTED"), .setAside, .unsupported, false),
        (502, "<html>Bad Gateway</html>", .retry(after: nil), .serverFailure, true),
        (503, json("TEMPORARILY_UNAVAILABLE"), .retry(after: nil), .serverFailure, true),
        (504, "", .retry(after: nil), .serverFailure, true),
        (302, "", .stop, .notMLflow, false),
        // As Azure ML's services word them; an empty 404 is an unknown route.
        (400, azure("INVALID_PARAMETER_VALUE", "ValidationError"), .setAside, .invalid, false),
        (404, azure("RESOURCE_DOES_NOT_EXIST", "UserError"), .setAside, .notFound, false),
        (404, azureService("UserError", "NotFound"), .setAside, .notFound, false),
        (404, azureService("UserError", "NotFoundError"), .setAside, .unsupported, false),
        (404, "", .setAside, .unsupported, false),
        (429, azureService("UserError", "RequestThrottled"), .retry(after: nil), .throttled, false),
        (500, azureService("ServiceError", "TransientError"), .retry(after: nil), .serverFailure, true),
    ]) func decides(
        _ status: Int, _ body: String, _ decision: StoreError.Decision, _ reason: StoreError.Reason, _ isInDoubt: Bool
    ) {
        let written = failure.error(write, status: status, headers: [], body: Array(body.utf8))
        #expect(written.decision == decision && written.reason == reason && written.isInDoubt == isInDoubt, "\(written)")
        let readError = failure.error(read, status: status, headers: [], body: Array(body.utf8))
        #expect(readError.decision == decision && readError.reason == reason && !readError.isInDoubt)
        #expect(written.message.contains("http://h") && written.message.contains("creating a run") && written.message.contains("\(status)"))
    }

    /// Whatever answers for a server that is being started again knows nothing of it.
    @Test(arguments: [404, 405, 501]) func whatWasAnsweredBeforeIsNotMissing(_ status: Int) {
        let first = failure.error(write, status: status, headers: [], body: Array("404 page not found".utf8))
        #expect(first.reason == .unsupported && first.decision == .setAside)
        failure.answered.note(write)
        let later = failure.error(write, status: status, headers: [], body: Array("404 page not found".utf8))
        #expect(later.reason == .serverFailure && later.decision == .retry(after: nil) && later.isInDoubt == (status > 500))
        #expect(failure.error(read, status: status, headers: [], body: []).reason == .unsupported)
        let named = failure.error(write, status: status, headers: [], body: Array(Self.json("ENDPOINT_NOT_FOUND").utf8))
        #expect(named.reason == .unsupported)
    }

    /// A service without the call answers with no body at all.
    @Test func aServiceThatSaysWhatIsMissingHasNoSuchThing() {
        var failure = failure
        failure.saysWhatIsMissing = true
        func reason(_ body: String) -> StoreError.Reason { failure.error(read, status: 404, headers: [], body: Array(body.utf8)).reason }
        #expect(reason(Self.azureService("UserError", "NotFoundError")) == .notFound)
        #expect(reason(Self.azureService("UserError", "WorkspaceNotFound")) == .unsupported)
        #expect(reason("") == .unsupported)
    }

    /// A listing is whole only when no page says that there is another.
    @Test(
        arguments: [
            (#"{"value":[{"path":"a"}]}"#, nil), (#"{"value":[],"continuationToken":"","nextLink":null}"#, nil),
            (#"{"continuationToken":"t","nextLink":"https://h/x?continuationToken=u"}"#, "t"),
            (#"{"nextLink":"https://h/x?path=a&continuationToken=a%2Fb+c%2B"}"#, "a/b c+"),
        ] as [(String, String?)]) func aPageOfFilesLeadsToTheNext(_ text: String, _ token: String?) throws
    {
        #expect(try WireDecoder.decode(FilePage.self, from: Array(text.utf8)).next() == token)
    }

    @Test(arguments: ["https://h/x?other=1", "https://h/x", "https://h/x?continuationToken=", "https://h/x?continuationToken=%2"])
    func aPageWithoutAWayToTheNextIsNoEnd(_ link: String) throws {
        let page = try WireDecoder.decode(FilePage.self, from: Array(#"{"nextLink":"\#(link)"}"#.utf8))
        #expect(throws: FilePage.NoWay.self) { try page.next() }
    }

    /// There are as many of them as there are files.
    @Test func filesTakeNoRoomAmongTheAnsweredRoutes() throws {
        let calls = AnsweredCalls()
        for number in 0..<500 {
            calls.note(
                MLflowCall(method: .put, path: "/api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/\(number)", subject: "", isWrite: true))
        }
        calls.note(write)
        #expect(calls.holds(write))
    }

    private static func azure(_ errorCode: String, _ code: String) -> String {
        """
        {"Error":{"Code":"\(code)","Severity":null,"Message":"the reason given","MessageFormat":null,"Details":[],"InnerError":null},
        "Correlation":{"operation":"0","request":"1"},"Environment":"westeurope","ComponentName":"mlflow","statusCode":400,
        "error_code":"\(errorCode)"}
        """
    }
    private static func azureService(_ code: String, _ inner: String) -> String {
        """
        {"error":{"code":"\(code)","severity":null,"message":"the reason given","details":[],"innerError":{"code":"\(inner)"}},
        "correlation":{"operation":"0"},"environment":"westeurope","componentName":"run-history"}
        """
    }

    @Test func azuresReasonIsPassedOn() {
        for body in [Self.azure("INVALID_PARAMETER_VALUE", "ValidationError"), Self.azureService("UserError", "ValidationError")] {
            let error = failure.error(write, status: 400, headers: [], body: Array(body.utf8))
            #expect(error.message.contains(": the reason given;") && !error.message.contains("westeurope"), "\(error)")
        }
    }

    @Test func tellsTwiceFromRaced() {
        let body = Array(Self.json("BAD_REQUEST", "UNIQUE constraint failed: inputs").utf8)
        #expect(failure.error(output, status: 400, headers: [], body: body).reason == .alreadyExists)
    }

    @Test(
        arguments: [
            ("0", 0.0), ("5", 5), (" 1.5 ", 1.5), ("100000", 3600), ("-5", 0), ("Sun, 06 Nov 1994 08:49:57 GMT", 20),
            ("Sunday, 06-Nov-94 08:49:57 GMT", 20), ("Sun Nov  6 08:49:57 1994", 20), ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
            ("Sun, 06 Nov 2094 08:49:57 GMT", 3600), ("soon", nil), ("", nil), ("nan", nil),
        ] as [(String, Double?)]) func waitsAsAsked(_ text: String, _ seconds: Double?)
    {
        #expect(RetryAfter.seconds([HTTPHeader("retry-after", text)], now: 784_111_777) == seconds)
    }

    @Test(arguments: [
        (HTTPError.Kind.refused, StoreError.Decision.retry(after: nil), StoreError.Reason.unreachable),
        (.unresolved, .retry(after: nil), .unreachable),
        (.tls, .retry(after: nil), .unreachable), (.timeout, .retry(after: nil), .unreachable), (.reset, .retry(after: nil), .unreachable),
        (.truncated, .retry(after: nil), .truncated), (.bodyTooLarge, .setAside, .tooLarge), (.badURL, .setAside, .invalid),
        (.forbiddenRedirect, .stop, .notMLflow), (.closed, .stop, .unreachable),
    ]) func understandsFailuresBelowHTTP(_ kind: HTTPError.Kind, _ decision: StoreError.Decision, _ reason: StoreError.Reason) {
        for isInDoubt in [false, true] {
            let error = failure.error(write, HTTPError(kind, isInDoubt: isInDoubt, "text"))
            #expect(error.decision == decision && error.reason == reason && error.isInDoubt == isInDoubt)
            #expect(!failure.error(read, HTTPError(kind, isInDoubt: isInDoubt, "text")).isInDoubt)
        }
    }

    /// For a dead letter: which call it was, without what it was asked for, and the answer.
    @Test func tellsTheExchange() {
        let error = failure.error(read, status: 400, headers: [], body: Array(Self.json("INVALID_PARAMETER_VALUE", "not so").utf8))
        #expect(error.exchange?.request == "GET /api/2.0/mlflow/runs/get")
        #expect(error.exchange?.answer == "HTTP 400 INVALID_PARAMETER_VALUE: not so")
        let long = "see https://user:hunter2@h/?sig=hunter2 " + String(repeating: "x", count: 5000)
        let cut = failure.error(write, status: 400, headers: [], body: Array(Self.json("BAD", long).utf8)).exchange
        #expect(cut?.answer.count ?? 999 <= 300 && cut?.answer.contains("hunter2") == false, "\(cut?.answer ?? "none")")
        #expect(failure.error(write, HTTPError(.refused, isInDoubt: false, "text")).exchange == nil)
    }

    @Test func keepsMessagesShortAndClean() {
        let body = Array((String(repeating: "x", count: 5000) + " https://user:hunter2@h/?sig=abc").utf8)
        let error = failure.error(read, status: 400, headers: [], body: Array("see https://user:hunter2@h/?sig=hunter2".utf8) + body)
        #expect(error.message.count < 700 && !error.message.contains("hunter2"), "\(error)")
    }
}
