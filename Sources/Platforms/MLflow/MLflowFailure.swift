import Curl
import Foundation
import Replication

/// Turns answers and failures into `StoreError`.
struct MLflowFailure: Sendable {
    /// The store's name.
    var store: String
    /// What is said where access is refused.
    var access: @Sendable (MLflowCall) -> String = { _ in "give the credentials' owner access to this" }
    /// What a service without the feature that was asked for means; nil: a name was given that only another server knows.
    var withoutFeature: String?
    /// A 404 that says anything is about the thing that was asked for: of a call that it does not know this service says nothing at all.
    var saysWhatIsMissing = false
    /// Calls that this server has answered.
    var answered = AnsweredCalls()
    /// The time of reading, in seconds since 1970: for a `Retry-After` that is a date.
    var now: @Sendable () -> Double = { Date().timeIntervalSince1970 }

    /// `{"error_code": ..., "message": ...}`, as MLflow writes every error (mlflow/exceptions.py). Azure ML wraps the message: its MLflow
    /// endpoint answers `{"Error": {"Code", "Message"}, "error_code"}` (azure-sdk-for-python#35685), its other services
    /// `{"error": {"code", "message", "innerError": {"code"}}}` (azureml-core's `ErrorResponse`).
    struct Answer: Decodable, Sendable {
        var errorCode: String?
        var message: String?

        private struct Wrapped: Decodable {
            var code: String?
            var message: String?
            var innerCode: String?
            enum CodingKeys: String, CodingKey { case code, Code, message, Message, innerError, InnerError }
            private enum InnerKeys: String, CodingKey { case code, Code }
            init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: CodingKeys.self)
                code = try? container.decode(String.self, forKey: .code)
                code = (try? container.decode(String.self, forKey: .Code)) ?? code
                message = try? container.decode(String.self, forKey: .message)
                message = (try? container.decode(String.self, forKey: .Message)) ?? message
                for (outer, inner) in [(CodingKeys.innerError, InnerKeys.code), (.InnerError, .Code)] {
                    guard let nested = try? container.nestedContainer(keyedBy: InnerKeys.self, forKey: outer) else { continue }
                    innerCode = (try? nested.decode(String.self, forKey: inner)) ?? innerCode
                }
            }
        }
        private enum CodingKeys: String, CodingKey { case errorCode, message, error, Error }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            errorCode = try? container.decode(String.self, forKey: .errorCode)
            message = try? container.decode(String.self, forKey: .message)
            guard
                let wrapped = (try? container.decode(Wrapped.self, forKey: .Error)) ?? (try? container.decode(Wrapped.self, forKey: .error))
            else { return }
            errorCode = errorCode ?? wrapped.innerCode ?? wrapped.code
            message = message ?? wrapped.message
        }

        init?(_ body: [UInt8]) {
            guard body.first(where: { $0 > 0x20 }) == UInt8(ascii: "{") else {
                guard let (code, message) = Self.plain(body) else { return nil }
                (errorCode, self.message) = (code, message)
                return
            }
            guard let answer = try? WireDecoder.decode(Answer.self, from: body) else { return nil }
            self = answer
        }

        /// `PERMISSION_DENIED: some words`, as some of Databricks' services answer (databricks-sdk, `errors/deserializer.py`).
        private static func plain(_ body: [UInt8]) -> (code: String, message: String)? {
            let text = String(decoding: body.prefix(1200), as: UTF8.self).drop { $0.isWhitespace || $0 == "\"" }
            let code = text.prefix { $0.isASCII && ($0.isUppercase || $0 == "_") }
            guard code.count > 2, text.dropFirst(code.count).hasPrefix(": ") else { return nil }
            return (String(code), text.dropFirst(code.count + 2).split(whereSeparator: \.isWhitespace).joined(separator: " "))
        }
    }

    /// An answer whose status is not 2xx.
    func error(_ call: MLflowCall, status: Int, headers: [HTTPHeader], body: [UInt8]) -> StoreError {
        let answer = Answer(body)
        let code = answer?.errorCode ?? ""
        let said = answer?.message ?? (Self.isHTML(headers, body) ? "a web page" : Self.text(body))
        let (decision, reason, advice) = judge(call, status, code, said, headers)
        var isInDoubt = false
        // A proxy may give up on what the server goes on doing; a server may fail after its commit.
        if call.isWrite, case .retry = decision, status == 408 || status >= 500 { isInDoubt = true }
        let what = code.isEmpty ? "HTTP \(status)" : "HTTP \(status) \(code)"
        return StoreError(
            decision, reason, isInDoubt: isInDoubt, message(call, "\(what): \(said)", advice), exchange: exchange(call, "\(what): \(said)"))
    }

    private func judge(
        _ call: MLflowCall, _ status: Int, _ code: String, _ said: String, _ headers: [HTTPHeader]
    ) -> (StoreError.Decision, StoreError.Reason, String) {
        switch (status, code) {
        case (_, "RESOURCE_DOES_NOT_EXIST"), (404, "NOT_FOUND"), (404, "NotFound"): return (.setAside, .notFound, "it does not exist there")
        case (404, let code) where saysWhatIsMissing && !["", "WorkspaceNotFound"].contains(code):
            return (.setAside, .notFound, "it does not exist there")
        case (_, "RESOURCE_ALREADY_EXISTS"), (_, "ALREADY_EXISTS"): return (.setAside, .alreadyExists, "use the one that is there")
        case (_, "INVALID_STATE"): return (.setAside, .invalid, "the thing is in a state that forbids this")
        case (_, "FEATURE_DISABLED") where withoutFeature != nil: return (.setAside, .unsupported, withoutFeature ?? "")
        case (_, "FEATURE_DISABLED"): return (.stop, .unsupported, "this server has no workspaces: name none")
        case (401, _): return (.stop, .unauthorized, "check the credentials of this store")
        case (403, _) where Self.isAboutAddress(said):
            return (.retry(after: nil), .unreachable, Self.addressAdvice)
        case (403, _) where Self.isAboutToken(said): return (.stop, .unauthorized, "check the credentials of this store")
        case (403, _), (_, "PERMISSION_DENIED"): return (.setAside, .forbidden, access(call))
        case (404...501, "") where [404, 405, 501].contains(status) && answered.holds(call):
            // A server that is being started again, behind something that answers for it.
            return (
                .retry(after: RetryAfter.seconds(headers, now: now())), .serverFailure, "it had this call before: see what stands before it"
            )
        case (404, _), (405, _), (501, _):
            return (.setAside, .unsupported, "this server has no such call: check its version and the address's path")
        case (400, _) where Self.isDuplicateKey(said):
            return call.duplicate == .exists
                ? (.setAside, .alreadyExists, "it is there already") : (.retry(after: nil), .serverFailure, "two writers met; ask again")
        case (413, _): return (.setAside, .tooLarge, "a proxy or the server takes no request of this size")
        case (409, _):
            return (.retry(after: RetryAfter.seconds(headers, now: now())), .serverFailure, "another writer was at it; ask again")
        case (429, _), (_, "REQUEST_LIMIT_EXCEEDED"):
            return (.retry(after: RetryAfter.seconds(headers, now: now())), .throttled, "ask less often")
        case (408, _), (500..., _): return (.retry(after: RetryAfter.seconds(headers, now: now())), .serverFailure, "see the server's log")
        case (300..<400, _): return (.stop, .notMLflow, "the address leads elsewhere: give the one it leads to")
        default: return (.setAside, .invalid, "the server refuses it as it is")
        }
    }

    /// A 2xx answer that is not what MLflow answers.
    func malformed(_ call: MLflowCall, headers: [HTTPHeader] = [], body: [UInt8] = [], _ why: String) -> StoreError {
        if Self.isHTML(headers, body) {
            return StoreError(
                .stop, .notMLflow, isInDoubt: call.isWrite,
                message(
                    call, "a web page", "this is a log-in page or another service in front of MLflow: check the address and credentials"))
        }
        let decision: StoreError.Decision = call.isWrite ? .retry(after: nil) : .setAside
        return StoreError(
            decision, .malformed, isInDoubt: call.isWrite,
            message(call, "\(why): \(Self.text(body))", "check what stands before the server"), exchange: exchange(call, why))
    }

    /// A read that ended too early: asking again is all there is to do.
    func truncated(_ call: MLflowCall, _ why: String) -> StoreError {
        StoreError(.retry(after: nil), .truncated, isInDoubt: false, message(call, why, "ask again"))
    }

    /// A failure below HTTP.
    func error(_ call: MLflowCall, _ error: HTTPError) -> StoreError {
        let (decision, reason, advice): (StoreError.Decision, StoreError.Reason, String) =
            switch error.kind {
            case .truncated, .bodyFailed: (.retry(after: nil), .truncated, "ask again")
            case .bodyTooLarge: (.setAside, .tooLarge, "the answer is larger than this program reads")
            case .badURL: (.setAside, .invalid, "the address cannot be used")
            case .tooManyRedirects, .forbiddenRedirect: (.stop, .notMLflow, "the address leads elsewhere: give the one it leads to")
            case .closed: (.stop, .unreachable, "the program is ending")
            case .tls: (.retry(after: nil), .unreachable, "check the server's certificate and the CA file")
            case .unresolved: (.retry(after: nil), .unreachable, "check the host's name and the name service")
            case .proxy: (.retry(after: nil), .unreachable, "check the proxy settings")
            default: (.retry(after: nil), .unreachable, "check that the server runs and can be reached from here")
            }
        return StoreError(decision, reason, isInDoubt: call.isWrite && error.isInDoubt, message(call, error.description, advice))
    }

    /// What a caller is thrown for a failure below HTTP: its own cancellation is none.
    func thrown(_ call: MLflowCall, _ error: HTTPError) -> any Error {
        error.kind == .cancelled ? CancellationError() : self.error(call, error)
    }

    func message(_ call: MLflowCall, _ what: String, _ advice: String) -> String {
        "\(store), \(call.subject) (\(Redaction.text(call.route))): \(Redaction.text(String(what.prefix(300)))); \(advice)"
    }

    /// At most 300 characters of the answer.
    func exchange(_ call: MLflowCall, _ what: String) -> StoreExchange {
        StoreExchange(request: Redaction.text(call.route), answer: Redaction.text(String(what.prefix(300))))
    }

    /// SQLite's, PostgreSQL's, MySQL's and SQL Server's words for a broken uniqueness: the server passes them on.
    private static func isDuplicateKey(_ message: String) -> Bool {
        ["UNIQUE constraint failed", "duplicate key value", "Duplicate entry", "Cannot insert duplicate key"].contains {
            message.contains($0)
        }
    }

    /// Databricks answers 403 where others answer 401: the token is no good, whatever it was to open.
    private static func isAboutToken(_ message: String) -> Bool {
        let message = message.lowercased()
        return message.contains("invalid access token") || message.contains("token is expired") || message.contains("token has expired")
    }

    /// Databricks answers so to whoever is not on the IP access list of a workspace or its account, and where it is closed to public networks:
    /// to everything, whatever was asked for.
    static func isAboutAddress(_ message: String) -> Bool {
        let message = message.lowercased()
        return ["blocked by databricks ip acl", "ip access list", "unauthorized network access"].contains { message.contains($0) }
    }

    static let addressAdvice =
        "this machine's address is not let in: have it added to the IP access list or the network policy there, or run where it is let in"

    private static func isHTML(_ headers: [HTTPHeader], _ body: [UInt8]) -> Bool {
        if let type = headers.first(where: { $0.name.lowercased() == "content-type" })?.value, type.lowercased().hasPrefix("text/html") {
            return true
        }
        return body.first { $0 > 0x20 } == UInt8(ascii: "<")
    }

    /// The first 300 characters on one line.
    private static func text(_ body: [UInt8]) -> String {
        let text = String(decoding: body.prefix(1200), as: UTF8.self).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return text.isEmpty ? "an empty answer" : String(text.prefix(300))
    }
}
