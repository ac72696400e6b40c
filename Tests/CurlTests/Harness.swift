import Curl
import Foundation
import TestSupport
import Testing

/// Runs `body` with a scripted server and a client that uses no proxy.
func withServer(
    _ script: @escaping @Sendable (RawConnection) throws -> Void, _ body: (RawServer, HTTPClient) async throws -> Void
) async throws {
    let server = try RawServer(script)
    let client = makeClient()
    defer {
        client.shutdown()
        server.stop()
    }
    try await body(server, client)
}

func makeClient(_ change: (inout HTTPClientConfiguration) -> Void = { _ in }) -> HTTPClient {
    var configuration = HTTPClientConfiguration()
    configuration.proxy = .none
    change(&configuration)
    return HTTPClient(configuration)
}

/// Runs `body`, expects an `HTTPError`, and checks that its text is free of secrets.
@discardableResult
func expectError<R>(
    _ kind: HTTPError.Kind, isInDoubt: Bool = false, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> R
) async -> HTTPError? {
    do {
        _ = try await body()
        Issue.record("no error", sourceLocation: sourceLocation)
    } catch let error as HTTPError {
        #expect(error.kind == kind, "\(error)", sourceLocation: sourceLocation)
        #expect(error.isInDoubt == isInDoubt, "\(error)", sourceLocation: sourceLocation)
        return error
    } catch {
        Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    }
    return nil
}

/// Seconds that `body` takes.
func seconds(_ body: () async throws -> Void) async rethrows -> Double {
    let start = ContinuousClock.now
    try await body()
    return (ContinuousClock.now - start) / .seconds(1)
}

/// Expects that `condition` holds within 5 seconds.
func expectEventually(sourceLocation: SourceLocation = #_sourceLocation, _ condition: () -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(5)
    while !condition() {
        guard ContinuousClock.now < end else {
            Issue.record("did not happen", sourceLocation: sourceLocation)
            return
        }
        try await Task.sleep(for: .milliseconds(2))
    }
}

extension HTTPBody {
    static func text(_ text: String) -> HTTPBody { .bytes(Array(text.utf8)) }
}
