import Foundation

/// An `int64` field: MLflow's server writes a number, the protobuf JSON mapping a string, and both are read.
struct WireInt: Decodable, Sendable {
    var value: Int64
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int64.self) {
            value = number
        } else if let text = try? container.decode(String.self), let number = Int64(text) {
            value = number
        } else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no 64-bit integer")
        }
    }
}

/// A `double` field: a number, or one of the strings `NaN`, `Infinity`, `-Infinity`.
struct WireDouble: Decodable, Sendable {
    var value: Double
    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Double.self) {
            value = number
        } else if let text = try? container.decode(String.self), let number = Self.parse(text) {
            value = number
        } else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no number")
        }
    }

    static func parse(_ text: String) -> Double? {
        switch text {
        case "NaN": .nan
        case "Infinity": .infinity
        case "-Infinity": -.infinity
        default: Double(text)
        }
    }
}

enum WireDecoder {
    /// Members are in snake case on the wire. Strict JSON first; then JSON5, which knows bare `NaN` and `Infinity`, as Python's `json` writes them.
    static func decode<T: Decodable>(_ type: T.Type, from bytes: some Collection<UInt8>) throws -> T {
        let data = Data(bytes)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            return try decoder.decode(type, from: data)
        } catch let strict {
            decoder.allowsJSON5 = true
            guard let value = try? decoder.decode(type, from: data) else { throw strict }
            return value
        }
    }

    /// A short text of what was wrong, without the values around it.
    static func reason(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return String(describing: error) }
        func path(_ context: DecodingError.Context) -> String { context.codingPath.map(\.stringValue).joined(separator: ".") }
        return switch error {
        case .keyNotFound(let key, let context): "no \((context.codingPath.map(\.stringValue) + [key.stringValue]).joined(separator: "."))"
        case .valueNotFound(_, let context): "\(path(context)) is null"
        case .typeMismatch(_, let context): "\(path(context)) has another type"
        case .dataCorrupted(let context): path(context).isEmpty ? context.debugDescription : "\(path(context)): \(context.debugDescription)"
        @unknown default: "not understood"
        }
    }
}
