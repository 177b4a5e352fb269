// Patterns of dialled numbers are the plugin API's; here by the name that routes know them by.
export { compileDialPattern, type DialPattern } from '../../core/plugin-api.js';
