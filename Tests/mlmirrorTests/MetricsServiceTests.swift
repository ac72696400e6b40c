import Curl
import Foundation
import Replication
import TestSupport
import Testing

@testable import mlmirror

/// Metrics of a daemon between two real servers.
extension RealServersTests {
    private func metrics(at port: UInt16) async -> String? {
        let answer = try? await RealPair.run(
            "/usr/bin/env", ["curl", "-sSf", "--noproxy", "*", "http://127.0.0.1:\(port)/metrics"])
        return answer.flatMap { $0.status == 0 ? MetricsTests.bare($0.output, pair: "default") : nil }
    }

    private func value(_ series: String, _ text: String) -> Double {
        text.split(separator: "\n").first { $0.hasPrefix(series + " ") }.flatMap { Double($0.dropFirst(series.count + 1)) } ?? -1
    }

    @Test func metricsAreInAFileAndAtAPort() async throws {
        let follower = try await Follower(triggers: false)
        defer { follower.stop() }
        try await follower.pair.workload("small")
        let folder = follower.pair.folder
        let (port, other) = (try RawSocket.unusedPort(), try RawSocket.unusedPort())
        let configuration = try folder.write("mlmirror.yaml", "metrics_file: mirror.prom\nmetrics_listen: 127.0.0.1:\(port)\n")
        try follower.start(["--config", configuration])
        try await follower.expectEqual()
        let read = await metrics(at: port)
        let text = try #require(read, "\(follower.log)")
        for series in ["store=\"primary\",class=\"runs\"", "store=\"secondary\",class=\"points\"", "store=\"secondary\",class=\"files\""] {
            #expect(value("mlmirror_requests_total{\(series)}", text) > 0, "\(series) \(text)")
        }
        for store in Role.allCases.map(\.rawValue) {
            let counted = RequestSeries.all(text, store).reduce(0, +)
            #expect(value("mlmirror_request_duration_seconds_count{store=\"\(store)\"}", text) == counted && counted > 0)
            #expect(value("mlmirror_store_up{store=\"\(store)\"}", text) == 1)
        }
        #expect(value("mlmirror_requests_total{store=\"primary\",class=\"tokens\"}", text) == 0)
        #expect(value("mlmirror_state_file_bytes", text) > 4096)
        #expect(
            try FolderMaker.read(folder.file("mirror.prom")).contains(
                "mlmirror_requests_total{store=\"primary\",class=\"runs\",pair=\"default\"}"))
        #expect(try FolderMaker.mode(folder.file("mirror.prom")) == 0o644)

        // A comparison beside it is remembered.
        #expect(value("mlmirror_verify_last_success_timestamp_seconds", text) == 0)
        #expect(try await follower.pair.mlmirror("verify").status == 0)
        #expect(
            try await follower.until {
                self.value("mlmirror_verify_last_success_timestamp_seconds", await self.metrics(at: port) ?? "") > 1_700_000_000
            })

        // Another port is taken with the configuration; one that cannot be had leaves everything as it is.
        try folder.write("mlmirror.yaml", "metrics_listen: 127.0.0.1:\(other)\n")
        follower.signal(SIGHUP)
        #expect(try await follower.until { await self.metrics(at: other) != nil }, "\(follower.log)")
        #expect(await metrics(at: port) == nil)
        let taken = try RawServer { _ in }
        defer { taken.stop() }
        try folder.write("mlmirror.yaml", "metrics_listen: 127.0.0.1:\(taken.port)\n")
        follower.signal(SIGHUP)
        #expect(try await follower.said("another program listens there"), "\(follower.log)")
        #expect(await metrics(at: other) != nil)
        try await follower.expectCleanEnd()
        #expect(await metrics(at: other) == nil)
    }
}

private enum RequestSeries {
    /// The values of all classes of one store.
    static func all(_ text: String, _ store: String) -> [Double] {
        text.split(separator: "\n").filter { $0.hasPrefix("mlmirror_requests_total{store=\"\(store)\"") }
            .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
    }
}
