import Replication

/// Writes the body of `runs/log-batch`.
///
/// A value is written with the fewest digits that read back as the same double; NaN and infinities as the strings that protobuf's JSON
/// knows. Every point bears its run and, for a logged model's, the model and the dataset (mlflow/protos/service.proto, `Metric`).
struct LogBatchEncoder {
    private(set) var bytes: [UInt8] = []

    static func encode(run: RunID, batch: RunBatch) -> [UInt8] {
        var encoder = LogBatchEncoder()
        encoder.bytes.reserveCapacity(64 + 96 * batch.metrics.count)
        encoder.open(run)
        encoder.list("metrics", batch.metrics) { encoder, row in encoder.point(row.key, row.point) }
        encoder.list("params", batch.params) { encoder, param in encoder.pair(param.key, param.value) }
        encoder.list("tags", batch.tags) { encoder, tag in encoder.pair(tag.key, tag.value) }
        encoder.bytes.append(UInt8(ascii: "}"))
        return encoder.bytes
    }

    static func encode(run: RunID, model: LoggedModelID, metrics: some Collection<ModelMetric>) -> [UInt8] {
        var encoder = LogBatchEncoder()
        encoder.open(run)
        encoder.list("metrics", metrics) { encoder, metric in
            encoder.point(metric.key, metric.point) { encoder in
                encoder.member("model_id", model.rawValue)
                if let name = metric.datasetName { encoder.member("dataset_name", name) }
                if let digest = metric.datasetDigest { encoder.member("dataset_digest", digest) }
                encoder.member("run_id", run.rawValue)
            }
        }
        encoder.bytes.append(UInt8(ascii: "}"))
        return encoder.bytes
    }

    private mutating func open(_ run: RunID) {
        raw("{\"run_id\":")
        string(run.rawValue)
    }

    /// Nothing at all for an empty list: the server requires no list.
    private mutating func list<Element>(
        _ name: StaticString, _ elements: some Collection<Element>, _ write: (inout Self, Element) -> Void
    ) {
        guard !elements.isEmpty else { return }
        raw(",\"")
        raw(name)
        raw("\":[")
        var isFirst = true
        for element in elements {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            write(&self, element)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    private mutating func point(_ key: String, _ point: MetricPoint, _ more: (inout Self) -> Void = { _ in }) {
        raw("{\"key\":")
        string(key)
        raw(",\"value\":")
        double(point.value)
        raw(",\"timestamp\":")
        integer(point.timestamp)
        raw(",\"step\":")
        integer(point.step)
        more(&self)
        bytes.append(UInt8(ascii: "}"))
    }

    private mutating func pair(_ key: String, _ value: String) {
        raw("{\"key\":")
        string(key)
        raw(",\"value\":")
        string(value)
        bytes.append(UInt8(ascii: "}"))
    }

    private mutating func member(_ name: StaticString, _ value: String) {
        raw(",\"")
        raw(name)
        raw("\":")
        string(value)
    }

    private mutating func double(_ value: Double) {
        if value.isNaN {
            raw("\"NaN\"")
        } else if value.isInfinite {
            raw(value < 0 ? "\"-Infinity\"" : "\"Infinity\"")
        } else {
            bytes += value.description.utf8
        }
    }

    private mutating func integer(_ value: Int64) { bytes += value.description.utf8 }

    private mutating func raw(_ text: StaticString) {
        text.withUTF8Buffer { bytes += $0 }
    }

    private static let digits = Array("0123456789abcdef".utf8)

    /// Quotation mark, backslash and control characters are escaped (RFC 8259, section 7); the rest is UTF-8.
    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0x0A: bytes += [0x5C, UInt8(ascii: "n")]
            case 0x0D: bytes += [0x5C, UInt8(ascii: "r")]
            case 0x09: bytes += [0x5C, UInt8(ascii: "t")]
            case 0..<0x20:
                raw("\\u00")
                bytes.append(Self.digits[Int(byte >> 4)])
                bytes.append(Self.digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
