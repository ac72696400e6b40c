import Curl
import Foundation
import Glibc
import Replication
import TestSupport
import Testing

@testable import mlmirror

/// Where Prometheus may ask.
@Suite struct MetricsListenerTests {
    @Test func onlyThisMachinesOwnAddressesAreTaken() throws {
        for (text, shown) in [
            ("127.0.0.1:9464", "127.0.0.1:9464"), ("localhost:1", "127.0.0.1:1"), ("127.3.2.1:65535", "127.3.2.1:65535"),
            ("[::1]:80", "[::1]:80"),
        ] { #expect(try LoopbackAddress(text, nil).description == shown) }
        let place = Origin.file(Place(file: "m.yaml", line: 3, column: 17))
        for (text, said) in [
            ("0.0.0.0:9464", "other machines"), ("10.0.0.1:9464", "other machines"), ("[::]:9464", "other machines"),
            ("mirror.example:9464", "other machines"), ("128.0.0.1:9464", "other machines"), ("::1:9464", "other machines"),
            (":9464", "other machines"), ("127.1:9464", "other machines"), ("127.0.0.1", "an address and a port"),
            ("9464", "an address and a port"), ("127.0.0.1:0", "an address and a port"), ("127.0.0.1:65536", "an address and a port"),
            ("127.0.0.1:+1", "an address and a port"), ("", "an address and a port"), ("127.0.0.1:", "an address and a port"),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try LoopbackAddress(text, place) }
            #expect(error?.description.hasPrefix("m.yaml:3:17: metrics_listen: ") == true, "\(text)")
            #expect(error?.message.contains(said) == true, "\(text): \(error?.message ?? "")")
            if said == "other machines" {
                #expect(error?.message.contains("metrics_file") == true && error?.message.contains("proxy") == true)
            }
        }
    }

    @Test func theKeyAndItsVariableAreSettings() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            "m.yaml", "primary: {uri: 'http://a'}\nsecondary: {uri: 'http://b'}\nstate: s.db\nmetrics_listen: 127.0.0.1:9464\n")
        var flags = FlagValues()
        flags.config = path
        func shown(_ variables: [String: String]) throws -> ShownSetting? {
            let settings = try SettingsLoader(flags: flags, environment: Environment(variables), standardFile: nil).load()
            return ShownSetting.all(settings).first { $0.key == "metrics_listen" }
        }
        #expect(try shown([:]) == ShownSetting(key: "metrics_listen", value: "127.0.0.1:9464", source: "\(path):4"))
        let variable = ["MLMIRROR_METRICS_LISTEN": "[::1]:9465"]
        #expect(
            try shown(variable)
                == ShownSetting(key: "metrics_listen", value: "[::1]:9465", source: "environment MLMIRROR_METRICS_LISTEN"))
        #expect(throws: ConfigurationError.self) { try shown(["MLMIRROR_METRICS_LISTEN": "0.0.0.0:1"]) }
        flags = FlagValues()
        (flags.primary, flags.secondary, flags.state) = ("http://a", "http://b", "s.db")
        #expect(try shown([:]) == ShownSetting(key: "metrics_listen", value: "nowhere", source: "default"))
    }

    private func free() throws -> LoopbackAddress { LoopbackAddress(.v4(0x7F00_0001), port: try RawSocket.unusedPort()) }

    /// Runs `body` with a listener that shows `page`, and a client.
    private func listening(
        _ page: @escaping @Sendable () -> String?, _ body: (LoopbackAddress, HTTPClient) async throws -> Void
    ) async throws {
        let address = try free()
        let listener = try MetricsListener(address, page: page)
        var configuration = HTTPClientConfiguration()
        configuration.proxy = .none
        let client = HTTPClient(configuration)
        defer {
            client.shutdown()
            listener.stop()
        }
        try await body(address, client)
    }

    @Test func metricsAreAnsweredAndNothingElseIs() async throws {
        let large = String(repeating: "mlmirror_x 1\n", count: 100_000)
        let page = Locked<String?>(nil)
        try await listening({ page.withLock { $0 } }) { address, client in
            func ask(_ path: String, _ method: HTTPRequest.Method = .get) async throws -> HTTPResponse {
                try await client.send(HTTPRequest(method, "http://\(address)\(path)"))
            }
            #expect(try await ask("/metrics").status == 503, "there is nothing to show yet")
            page.withLock { $0 = large }
            let answer = try await ask("/metrics")
            #expect(answer.status == 200 && answer.body == Array(large.utf8))
            #expect(answer.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
            #expect(try await ask("/metrics?name[]=x").status == 200)
            let head = try await ask("/metrics", .head)
            #expect(head.status == 200 && head.body.isEmpty && head.header("Content-Length") == "\(large.utf8.count)")
            for path in ["/", "/metrics/", "/metricsx", "/../metrics", "/etc/passwd"] {
                #expect(try await ask(path).status == 404, "\(path)")
            }
            #expect(try await ask("/metrics", .post).status == 405)
        }
    }

    @Test(
        arguments: [
            ("GET /metrics HTTP/1.0\n\n", "200"), ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200"), ("GET /metrics\r\n\r\n", "400"),
            ("\r\n\r\n", "400"), ("GET  /metrics HTTP/1.1\r\n\r\n", "400"), ("GET /metrics SPDY/9\r\n\r\n", "400"),
            ("\u{0}\u{1}\r\n\r\n", "400"),
            ("get /metrics HTTP/1.1\r\n\r\n", "405"), ("GET /metrics HTTP/1.1\r\nX: " + String(repeating: "y", count: 9000), "431"),
            ("GET /metrics HTTP/1.1\r\n", nil), ("", nil),
        ] as [(String, String?)]) func whateverComesHasItsAnswer(request: String, status: String?)
    {
        let answer = MetricsConnection.answer(to: Array(request.utf8)) { "mlmirror_x 1\n" }
        #expect(answer?.split(separator: " ")[1] == status.map { Substring($0) })
    }

    private func connected(to address: LoopbackAddress) -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #expect(address.withSocketAddress { connect(socket, $0, $1) } == 0)
        return socket
    }

    /// More of them than are served at once, none of which says a word: each is given up, and who asks properly has waited no longer than that.
    @Test func whoSaysNothingHoldsUpNobodyForLong() async throws {
        try await listening({ "mlmirror_x 1\n" }) { address, client in
            let silent = (0..<MetricsListener.mostConnections + 3).map { _ in connected(to: address) }
            defer { for socket in silent { close(socket) } }
            let start = ContinuousClock.now
            let answer = try await client.send(HTTPRequest(.get, "http://\(address)/metrics"))
            #expect(answer.status == 200)
            #expect(start.duration(to: .now) < .seconds(2 * MetricsListener.patience + 5))
            // They were closed from the other side.
            var byte: UInt8 = 0
            #expect(recv(silent[0], &byte, 1, 0) == 0)
        }
    }

    @Test func manyAtOnceAreAllAnswered() async throws {
        try await listening({ String(repeating: "mlmirror_x 1\n", count: 1000) }) { address, client in
            let answered = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<60 { group.addTask { try await client.send(HTTPRequest(.get, "http://\(address)/metrics")).body.count } }
                return try await group.reduce(0) { $0 + ($1 == 13_000 ? 1 : 0) }
            }
            #expect(answered == 60)
        }
    }

    @Test func anAddressIsFreeOnceItIsGivenUp() async throws {
        let address = try free()
        for _ in 0..<5 {
            let listener = try MetricsListener(address) { "" }
            let socket = connected(to: address)
            defer { close(socket) }
            let error = #expect(throws: MetricsListener.Failure.self) { try MetricsListener(address) { "" } }
            #expect(error?.description == "\(address): another program listens there; choose another port, or end that program")
            listener.stop()
            listener.stop()
        }
        let six = LoopbackAddress(.v6, port: try RawSocket.unusedPort())
        // A machine without IPv6 has no such address.
        if let listener = try? MetricsListener(six, page: { "" }) { listener.stop() }
    }

    @Test func aPortThatIsTakenIsAnErrorOfTheConfiguration() async throws {
        let server = try RawServer { _ in }
        defer { server.stop() }
        let folder = try TemporaryFolder()
        let world = TestWorld()
        let file = try folder.write("m.yaml", "metrics_listen: 127.0.0.1:\(server.port)\n")
        let ended = await world.run([
            "run", "--config", file, "--primary", "http://a:5000", "--secondary", "http://b:5000", "--state", folder.file("state.db"),
        ])
        #expect(ended == .configuration)
        #expect(world.complained.contains("m.yaml:1:17: metrics_listen: 127.0.0.1:\(server.port): another program listens there"))
    }
}
