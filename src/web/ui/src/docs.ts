// The API documentation at /api/docs. An entry of its own: the app never loads
// Swagger UI.
import SwaggerUI from 'swagger-ui-dist/swagger-ui-es-bundle.js';
import 'swagger-ui-dist/swagger-ui.css';

SwaggerUI({
  url: '/api/v1/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  // The validator badge would ask a server outside.
  validatorUrl: null,
});
