#ifndef MLMIRROR_CCRYPTO_H
#define MLMIRROR_CCRYPTO_H
#include <openssl/evp.h>
#endif
