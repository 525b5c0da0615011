// The field's words for the shapes of the generated document.
import type { components } from './schema';

type Schemas = components['schemas'];

export type SignedIn = Schemas['SignedIn'];
export type MySession = Schemas['SessionView'];
export type Site = Schemas['SiteView'];
export type SiteInput = Schemas['SiteInput'];
export type Place = Schemas['PlaceView'];
export type PlaceInput = Schemas['PlaceInput'];
export type Camera = Schemas['CameraView'];
export type CameraState = Schemas['StateWord'];
export type CameraInput = Schemas['CameraInput'];
export type Device = Schemas['DeviceView'];
export type DeviceInput = Schemas['DeviceInput'];
export type ViewerKey = Schemas['KeyView'];
export type ShownToken = Schemas['ShownToken'];
export type ShownKey = Schemas['ShownKey'];
export type DoorEvent = Schemas['DoorEventView'];
export type NewAccount = Schemas['Newcomer'];
export type Unit = Schemas['UnitView'];
export type Household = Schemas['HouseholdView'];
export type Account = Schemas['List_AccountView']['items'][number];
export type Approval = Schemas['ApprovalView'];
export type Invitation = Schemas['ShownInvitation'];
export type Registration = Schemas['RegistrationView'];
export type ShownJoinCode = Schemas['ShownJoinCode'];
export type Window = Schemas['WindowInput'];
export type Zone = Schemas['ZoneView'];
export type HeldRole = Schemas['List_GrantView']['items'][number];
export type RoleWord = HeldRole['role'];
export type Viewing = Schemas['List_ViewingView']['items'][number];
export type Probe = Schemas['ProbeView'];
export type ProbedStream = Schemas['ProbedView'];
export type Viewer = Schemas['List_ViewerView']['items'][number];
export type Sight = Schemas['List_SightView']['items'][number];
export type NewPassword = Schemas['NewPassword'];
export type Trust = Schemas['Trust'];
