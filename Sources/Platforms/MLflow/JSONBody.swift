import Foundation
import Replication

enum JSONBody {
    /// In snake case, as MLflow's fields are. Members whose value is nil are left out.
    static func encode(_ value: some Encodable) throws(StoreError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw StoreError(.setAside, .invalid, "a request cannot be written as JSON: \(WireDecoder.reason(error))")
        }
    }
}
