import Foundation
import Replication
import Testing

@testable import Platforms

/// xorshift64*: the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed | 1 }
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 2_685_821_657_736_338_717
    }

    mutating func double() -> Double {
        switch next() % 8 {
        case 0: Double(Int64(truncatingIfNeeded: next() % 2000) - 1000)
        case 1: Double(next() % 1_000_000) / 1000
        case 2: [Double.nan, .infinity, -.infinity, 0, -0.0, .greatestFiniteMagnitude, .leastNonzeroMagnitude, .ulpOfOne][Int(next() % 8)]
        default: Double(bitPattern: next())
        }
    }

    mutating func text() -> String {
        let pool: [Unicode.Scalar] = [
            "a", "Z", " ", "\"", "\\", "\n", "\u{0}", "\u{1f}", "\u{7f}", "ü", "日", "🦊", "/", "\u{2028}", "e", "\u{301}",
        ]
        var text = String.UnicodeScalarView()
        for _ in 0..<next() % 12 { text.append(pool[Int(next() % UInt64(pool.count))]) }
        return String(text)
    }
}

/// A history read with the hand-written parser, fed in pieces.
func parse(_ bytes: [UInt8], pieces: (inout Int) -> Int) throws -> (points: [MetricPoint], runs: [String], token: String?) {
    var parser = MetricHistoryParser()
    var points: [MetricPoint] = []
    var runs: [String] = []
    var rest = bytes[...]
    var index = 0
    func add(_ run: UnsafeBufferPointer<UInt8>, _ point: MetricPoint) {
        points.append(point)
        runs.append(String(decoding: run, as: UTF8.self))
    }
    while !rest.isEmpty {
        let size = max(1, pieces(&index))
        try parser.feed(Array(rest.prefix(size)), add)
        rest = rest.dropFirst(size)
    }
    try parser.finish(add)
    return (points, runs, parser.nextPageToken)
}

func same(_ a: Double, _ b: Double) -> Bool { a.bitPattern == b.bitPattern || a.isNaN && b.isNaN }

/// One after the other: hundreds of them at once would let nobody else have a thread.
@Suite(.serialized) struct HistoryCodecTests {
    /// A random answer in one of the forms that servers write.
    private func answer(_ random: inout SeededGenerator) -> (text: String, points: [MetricPoint], token: String?) {
        var points: [MetricPoint] = []
        var items: [String] = []
        for _ in 0..<random.next() % 20 {
            let point = MetricPoint(
                value: random.double(), timestamp: Int64(bitPattern: random.next()),
                step: Int64(truncatingIfNeeded: random.next() % 5000) - 9)
            points.append(point)
            let isQuoted = random.next() % 3 == 0
            func integer(_ value: Int64) -> String { isQuoted ? "\"\(value)\"" : "\(value)" }
            let value: String
            if point.value.isNaN {
                value = isQuoted ? "NaN" : "\"NaN\""
            } else if point.value.isInfinite {
                value = (isQuoted ? "" : "\"") + (point.value < 0 ? "-" : "") + "Infinity" + (isQuoted ? "" : "\"")
            } else {
                value = isQuoted ? "\"\(point.value)\"" : "\(point.value)"
            }
            var members = [
                "\"key\": \"m\"", "\"value\":\(value)", "\"timestamp\" : \(integer(point.timestamp))", "\"step\":\(integer(point.step))",
            ]
            if point.step == 0 { members.removeLast() }
            if random.next() % 4 == 0 { members.append("\"extra\":{\"a\":[1,\"}]\\\"\",null],\"value\":7}") }
            if random.next() % 4 == 0 { members.append("\"run_id\":\"r\"") }
            items.append("{" + members.shuffled(using: &random).joined(separator: random.next() % 2 == 0 ? "," : " ,\n ") + "}")
        }
        let token = random.next() % 2 == 0 ? "eyJvZmZzZXQiOiAx\(random.next() % 100)" : nil
        var members = ["\"metrics\":[" + items.joined(separator: ",") + "]", "\"other\":[{\"metrics\":[]},true]"]
        if let token { members.append("\"next_page_token\":\"\(token)\"") }
        return (" {" + members.shuffled(using: &random).joined(separator: ",") + "}\n", points, token)
    }

    @Test(arguments: 1...400) func readsWhatServersWrite(_ seed: UInt64) throws {
        var random = SeededGenerator(seed &* 7919)
        let (text, points, token) = answer(&random)
        let size = [1, 2, 7, 64, 100_000][Int(seed % 5)]
        let found = try parse(Array(text.utf8)) { _ in size }
        #expect(found.token == token)
        #expect(found.points.count == points.count)
        for (a, b) in zip(found.points, points) {
            #expect(same(a.value, b.value) && a.timestamp == b.timestamp && a.step == b.step, "\(a) \(b)")
        }
    }

    /// The same answer, read by Foundation.
    @Test(arguments: 1...200) func agreesWithFoundation(_ seed: UInt64) throws {
        struct Point: Codable { var value: Double, timestamp: Int64, step: Int64, key: String }
        struct Answer: Codable { var metrics: [Point] }
        var random = SeededGenerator(seed &* 104_729)
        let metrics = (0..<50).map { _ in
            Point(value: random.double(), timestamp: Int64(bitPattern: random.next()), step: Int64(random.next() % 100), key: random.text())
        }
        let encoder = JSONEncoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        let bytes = Array(try encoder.encode(Answer(metrics: metrics)))
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        let expected = try decoder.decode(Answer.self, from: Data(bytes)).metrics
        let found = try parse(bytes) { _ in 31 }.points
        #expect(found.count == expected.count)
        for (a, b) in zip(found, expected) { #expect(same(a.value, b.value) && a.timestamp == b.timestamp && a.step == b.step) }
    }

    @Test(arguments: [
        "1", "-1", "0.1", "1e5", "1E+5", "1.5e-7", "123456789012345678901234567890", "0.1234567890123456789012345", "1e400", "1e-400",
        "9007199254740993", "2.2250738585072014e-308", "4.9e-324", "-0", "1.7976931348623157e308", "8.5e22", "179769313486231570000e289",
    ]) func roundsAsStrtodDoes(_ number: String) throws {
        let found = try parse(Array("{\"metrics\":[{\"value\":\(number)}]}".utf8)) { _ in 1000 }.points
        #expect(same(try #require(found.first).value, strtod(number, nil)))
    }

    @Test(arguments: [
        "", "[]", "null", "{", "{\"metrics\":[", "{\"metrics\":[{\"value\":1}", "{\"metrics\":[]", "{\"metrics\":[{\"value\":1}]}}",
        "{\"metrics\":[{\"value\":1 \"step\":2}]}", "{\"metrics\":[{\"value\":1,}]}", "{\"metrics\":[{\"value\":nan}]}",
        "{\"metrics\":[{\"value\":0x10}]}", "{\"metrics\":[{\"value\":1.}]}", "{\"metrics\":[{\"value\":1e}]}",
        "{\"metrics\":[{\"value\":[]}]}",
        "{\"metrics\":[{\"step\":1.5}]}", "{\"metrics\":[{\"step\":9223372036854775808}]}", "{\"metrics\":[1]}", "{\"metrics\":[{}],,}",
        "<html></html>", "{\"metrics\":[{\"value\":\"\"}]}", "{\"metrics\":[{\"timestamp\":\"x\"}]}", "{\"a\":}", "{\"a\" 1}",
    ]) func refusesWhatIsNone(_ text: String) {
        for size in [1, 1000] { #expect(throws: MetricHistoryParser.Failure.self) { try parse(Array(text.utf8)) { _ in size } } }
    }

    @Test func takesWhatIsOdd() throws {
        #expect(try parse(Array("{}".utf8)) { _ in 1 }.points.isEmpty)
        #expect(try parse(Array("{\"metrics\":null}".utf8)) { _ in 1 }.points.isEmpty)
        let text = "{\"metrics\":[{\"value\":null,\"step\":1.0,\"timestamp\":1e3},{}]}"
        #expect(
            try parse(Array(text.utf8)) { _ in 1 }.points == [
                MetricPoint(value: 0, timestamp: 1000, step: 1), MetricPoint(value: 0, timestamp: 0, step: 0),
            ])
        let smallest = "{\"metrics\":[{\"step\":-9223372036854775808,\"timestamp\":9223372036854775807}]}"
        #expect(try parse(Array(smallest.utf8)) { _ in 3 }.points == [MetricPoint(value: 0, timestamp: .max, step: .min)])
    }

    @Test func holdsNoMoreThanAPart() {
        var parser = MetricHistoryParser()
        let junk = Array("{\"other\":\"".utf8) + [UInt8](repeating: 0x61, count: 100_000)
        #expect(throws: MetricHistoryParser.Failure.self) {
            try parser.feed(junk) { _, _ in }
            for _ in 0..<100 { try parser.feed([UInt8](repeating: 0x61, count: 100_000)) { _, _ in } }
        }
    }
}

/// One after the other: hundreds of them at once would let nobody else have a thread.
@Suite(.serialized) struct LogBatchCodecTests {
    private struct Pair: Codable, Equatable { var key: String, value: String }
    private struct Metric: Codable {
        var key: String, value: Double, timestamp: Int64, step: Int64, modelID: String?, datasetName: String?, runID: String?
    }
    private struct Body: Codable { var runID: String, metrics: [Metric]?, params: [Pair]?, tags: [Pair]? }

    private func decoder() -> JSONDecoder {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        decoder.keyDecodingStrategy = .custom { keys in
            struct Key: CodingKey {
                var stringValue: String
                var intValue: Int? { nil }
                init(stringValue: String) { self.stringValue = stringValue }
                init?(intValue: Int) { nil }
            }
            let names = ["run_id": "runID", "model_id": "modelID", "dataset_name": "datasetName"]
            let name = keys[keys.count - 1].stringValue
            return Key(stringValue: names[name] ?? name)
        }
        return decoder
    }

    @Test(arguments: 1...300) func foundationReadsWhatIsWritten(_ seed: UInt64) throws {
        var random = SeededGenerator(seed &* 31_337)
        var batch = RunBatch()
        for _ in 0..<random.next() % 30 {
            let point = MetricPoint(
                value: random.double(), timestamp: Int64(bitPattern: random.next()), step: Int64(bitPattern: random.next()))
            batch.metrics.append(MetricRow(key: random.text(), point: point))
        }
        for _ in 0..<random.next() % 5 { batch.params.append(Param(random.text(), random.text())) }
        for _ in 0..<random.next() % 5 { batch.tags.append(Tag(random.text(), random.text())) }
        let bytes = LogBatchEncoder.encode(run: RunID("run \"1\""), batch: batch)
        let found = try decoder().decode(Body.self, from: Data(bytes))
        #expect(found.runID == "run \"1\"")
        #expect(found.params ?? [] == batch.params.map { Pair(key: $0.key, value: $0.value) })
        #expect(found.tags ?? [] == batch.tags.map { Pair(key: $0.key, value: $0.value) })
        #expect((found.metrics ?? []).count == batch.metrics.count)
        for (a, b) in zip(found.metrics ?? [], batch.metrics) {
            #expect(a.key == b.key && same(a.value, b.point.value) && a.timestamp == b.point.timestamp && a.step == b.point.step)
        }
        // And the parser for histories understands the same points.
        let parsed = try parse(bytes) { _ in 13 }.points
        #expect(parsed.count == batch.metrics.count)
        for (a, b) in zip(parsed, batch.metrics) { #expect(same(a.value, b.point.value) && a.step == b.point.step) }
    }

    @Test func namesModelAndDataset() throws {
        let metric = ModelMetric(
            key: "acc", point: MetricPoint(value: .nan, timestamp: 1, step: 2), run: RunID("r"), datasetName: "d\n", datasetDigest: nil)
        let found = try decoder().decode(
            Body.self, from: Data(LogBatchEncoder.encode(run: RunID("r"), model: LoggedModelID("m-1"), metrics: [metric])))
        let first = try #require(found.metrics?.first)
        #expect(first.modelID == "m-1" && first.datasetName == "d\n" && first.runID == "r" && first.value.isNaN)
    }
}
