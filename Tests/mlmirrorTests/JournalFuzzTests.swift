import Replication
import TestSupport
import Testing

@testable import Systemd
@testable import mlmirror

/// What lies in the journal may be of another version, cut off, or not ours at all: it is read without a crash, or not at all. Always the same
/// cases, by their seed.
@Suite struct JournalFuzzTests {
    private func field(_ bytes: [UInt8]) -> Journal.Field? { bytes.withUnsafeBytes { JournalReader.field($0) } }

    @Test func whateverAFieldHolds() {
        var random = SplitMix(seed: 5)
        for number in 0..<3000 {
            var bytes = (0..<Int.random(in: 0..<200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if number.isMultiple(of: 2), !bytes.isEmpty { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8(ascii: "=") }
            let equals = bytes.firstIndex(of: UInt8(ascii: "="))
            guard let found = field(bytes) else {
                if let equals, equals > 0 { Issue.record("case \(number): it has a name") }
                continue
            }
            let name = String(decoding: bytes[..<(equals ?? 0)], as: UTF8.self)
            let value = String(decoding: bytes[((equals ?? 0) + 1)...], as: UTF8.self)
            if found != Journal.Field(name, value) { Issue.record("case \(number)") }
        }
        #expect(JournalReader.field(UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
        #expect(field(Array("A=".utf8)) == Journal.Field("A", ""))
        #expect(field(Array("=A".utf8)) == nil)
        let large = Array("MLMIRROR_STATUS=".utf8) + [UInt8](repeating: 0xff, count: 1 << 16)
        #expect(field(large)?.name == "MLMIRROR_STATUS")
        #expect(field(large + [UInt8](repeating: 0x20, count: JournalReader.longestField)) == nil)
    }

    /// As a service says it, with all that it may say.
    private func document() throws -> String {
        let folder = try TemporaryFolder()
        let state = try ReplicationState.open(path: folder.file("s.db"))
        let status = try MirrorStatus(of: state, at: 1_700_000_000_000)
        try state.close()
        var document = StatusDocument(status, StatusVerdict(status))
        document.feed = "polling"
        document.rates.fileBytesPerSecond = 12.5
        document.lag.seconds = 3.5
        document.canary = StatusDocument.CanaryDocument(lastArrivedAt: "2024-01-01T00:00:00.000Z", seconds: 1.5)
        (document.sweepOldestAt, document.lastAppliedAt) = ("2024-01-01T00:00:00.000Z", "2024-01-01T00:00:00.000Z")
        (document.conversions, document.pending, document.failures) = (["overflow": 2], ["run": 7], ["run 1: refused"])
        return try JSONLine.encode(document)
    }

    private static let oddValues = [
        "1e300", "-1e300", "1.7976931348623157e308", "9223372036854775807", "-9223372036854775808", "1e19", "5e-324", "-1", "null", "true",
        "\"x\"", "[]", "{}", "\"\\u0000\\u001b[2J\"", "\"9999-12-31T23:59:59.999Z\"", "\"0000-01-01T00:00:00+23:59\"",
    ]

    private func changed(_ json: String, _ random: inout SplitMix) -> String {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return String(json.prefix(Int.random(in: 0...json.count, using: &random)))
        case 1:
            var bytes = Array(json.utf8)
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            return String(decoding: bytes, as: UTF8.self)
        default:
            // A value for another: still a document, and mostly one that is taken.
            var json = json
            for _ in 0...Int.random(in: 0..<4, using: &random) {
                let values = json.matches(of: #/:(-?[0-9][0-9.eE+-]*|"[^"\\]*"|null)/#)
                guard let one = values.randomElement(using: &random), let odd = Self.oddValues.randomElement(using: &random) else {
                    continue
                }
                json.replaceSubrange(one.output.1.startIndex..<one.output.1.endIndex, with: odd)
            }
            return json
        }
    }

    @Test func whateverAStatusSays() async throws {
        let json = try document()
        var random = SplitMix(seed: 7)
        var taken = 0
        for number in 0..<150 {
            let (said, at) = (changed(json, &random), Int64.random(in: 0...Int64(UInt64.max / 1000), using: &random))
            for arguments in [["status"], ["status", "--json"]] {
                let world = TestWorld()
                var session = world.session()
                session.lastStatusEvent = { _, event in
                    event == .status ? JournalReader.Entry(at: at, fields: ["MLMIRROR_STATUS": said]) : nil
                }
                let code = await Program.run(arguments, in: session).rawValue
                #expect((0...3).contains(code), "case \(number): \(said)")
                if code < 3 { taken += 1 }
                let isPrintable = world.printed.unicodeScalars.allSatisfy { $0 == "\n" || $0.properties.generalCategory != .control }
                #expect(isPrintable, "case \(number): \(said)")
            }
        }
        #expect(taken > 20, "\(taken)")
    }
}
