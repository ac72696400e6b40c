import Foundation
import Replication
import TestSupport

/// An overflow document read as anyone would read it, and put back into its run.
struct Rejoined: Decodable {
    struct Twice: Error, CustomStringConvertible { var description: String }
    private struct Dataset: Decodable {
        var name: String
        var digest: String
        var source_type: String
        var source: String
        var schema: String?
        var profile: String?
        var tags: [String: String]
    }
    /// A number, or what JSON has no number for.
    private struct Value: Decodable {
        var number: Double
        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let text = try? container.decode(String.self) {
                number = Double(text) ?? .signalingNaN
            } else {
                number = try container.decode(Double.self)
            }
        }
    }
    private var tags: [String: String]?
    private var params: [String: String]?
    private var metrics: [String: [[Value]]]?
    private var datasets: [Dataset]?

    init(_ bytes: [UInt8]) throws { self = try JSONDecoder().decode(Self.self, from: Data(bytes)) }

    func put(into content: inout FakeStore.Snapshot.RunContent) throws {
        for (key, value) in tags ?? [:] {
            // Of a name that was cut, the tag has the whole.
            if key == "mlflow.runName" {
                content.run.name = value
            } else if content.run.tags[key] != nil {
                throw Twice(description: "tag \(key)")
            }
            content.run.tags[key] = value
        }
        for (key, value) in params ?? [:] {
            if content.run.params.contains(where: { $0.key == key }) { throw Twice(description: "param \(key)") }
            content.run.params.append(Param(key, value))
        }
        content.run.params.sort { $0.key < $1.key }
        for (name, points) in metrics ?? [:] {
            if content.points[name] != nil { throw Twice(description: "metric \(name)") }
            content.points[name] = Set(
                points.map { "\(Int64($0[1].number)) \(Int64($0[2].number)) \($0[0].number.isNaN ? "NaN" : String($0[0].number))" })
        }
        content.run.datasets += (datasets ?? []).map {
            DatasetInput(
                name: $0.name, digest: $0.digest, sourceType: $0.source_type, source: $0.source, schema: $0.schema, profile: $0.profile,
                tags: $0.tags.map { Tag($0.key, $0.value) })
        }
    }
}
