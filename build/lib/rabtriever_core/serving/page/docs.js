"use strict";

// Swagger UI over the service's own description; the validator it would ask elsewhere is off.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#interface",
  deepLinking: true,
  validatorUrl: null,
  syntaxHighlight: { theme: "agate" },
});
